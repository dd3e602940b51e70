import { render } from 'preact'
import { startPlace } from './state.ts'
import { startClock } from './time.ts'

startPlace(window)
startClock()
const root = document.getElementById('page')
if (root) render(<p>Jobsight</p>, root)
