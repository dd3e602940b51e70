import { render } from 'preact'
import { startPrefs } from './prefs.ts'
import { startPlace } from './state.ts'
import './styles/base.css'
import './styles/page.css'
import './styles/panels.css'
import './styles/tables.css'
import './styles/flame.css'
import './styles/closer.css'
import './styles/alerts.css'
import './styles/compare.css'
import './styles/signin.css'
import { readSession } from './session.ts'
import { startClock } from './time.ts'
import { App } from './views/app.tsx'

startPrefs()
startPlace(window)
startClock()
void readSession()
const root = document.getElementById('page')
if (root) render(<App />, root)
