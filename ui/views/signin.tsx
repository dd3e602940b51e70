/** The way in, and at the other end of the bar who is signed in and the way out. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { SessionAnswer } from '../../query/api.ts'
import { formatTime } from '../format.ts'
import { oidcUrl, session, signIn, signOut } from '../session.ts'
import { useStore } from '../state.ts'
import { known, t } from '../words.ts'
import { Mark, Preferences } from './bar.tsx'
import { Popover } from './popover.tsx'

export function SignIn() {
  const who = useStore(session)
  const ways = who?.ways ?? { password: true, oidc: false }
  useEffect(() => {
    document.title = `${t('signin.do')} – Jobsight`
  })
  return (
    <main class="signin" id="main">
      <div class="signin-card">
        <h1>
          <Mark /> {t('signin.title')}
        </h1>
        <p class="soft">{t('signin.why')}</p>
        {ways.oidc && (
          <a class="button" href={oidcUrl(location.hash)}>
            {t('signin.oidc')}
          </a>
        )}
        {ways.oidc && ways.password && <p class="soft or">{t('signin.or')}</p>}
        {ways.password && <Password />}
        {!ways.password && !ways.oidc && <p>{t('signin.noWay')}</p>}
        <p class="prefs">
          <Preferences />
        </p>
      </div>
    </main>
  )
}

function Password() {
  const [user, setUser] = useState('')
  const [password, setPassword] = useState('')
  const [refusal, setRefusal] = useState('')
  const [asking, setAsking] = useState(false)
  const first = useRef<HTMLInputElement>(null)
  useEffect(() => first.current?.focus(), [])
  const submit = async (event: Event) => {
    event.preventDefault()
    setAsking(true)
    const wrong = await signIn(user, password)
    setAsking(false)
    setRefusal(wrong ?? '')
    setPassword('')
  }
  return (
    <form onSubmit={submit}>
      <label>
        {t('signin.user')}
        <input
          ref={first}
          name="user"
          autocomplete="username"
          autocapitalize="off"
          spellcheck={false}
          required
          value={user}
          onInput={event => setUser(event.currentTarget.value)}
        />
      </label>
      <label>
        {t('signin.password')}
        <input
          name="password"
          type="password"
          autocomplete="current-password"
          required
          value={password}
          onInput={event => setPassword(event.currentTarget.value)}
        />
      </label>
      {refusal !== '' && (
        <p class="refusal" role="alert">
          {refusal}
        </p>
      )}
      <button type="submit" class="button" disabled={asking}>
        {t(asking ? 'signin.doing' : 'signin.do')}
      </button>
    </form>
  )
}

/** Signed in, and nothing to be seen with it. */
export function NoRole({ who }: { who: SessionAnswer }) {
  return (
    <main class="signin" id="main">
      <div class="signin-card">
        <p>{t('signin.noRole', { user: who.user ?? '' })}</p>
        <button type="button" class="button" onClick={signOut}>
          {t('who.out')}
        </button>
      </div>
    </main>
  )
}

/** Nothing where nobody signs in. */
export function WhoIsIn() {
  const who = useStore(session)
  if (who === undefined || who.via === 'open' || !who.user) return null
  const ends = who.via === 'password' || who.via === 'oidc'
  return (
    <Popover label={t('who.label')} class="button plain" face={who.user} right>
      {() => (
        <div class="who">
          {who.roles.map(role => (
            <p key={role}>{meaningOf(role, who.accounts)}</p>
          ))}
          {who.until !== null && <p class="soft">{t('who.until', { time: formatTime(who.until) })}</p>}
          {ends && (
            <button type="button" class="button" onClick={signOut}>
              {t('who.out')}
            </button>
          )}
        </div>
      )}
    </Popover>
  )
}

function meaningOf(role: string, accounts: readonly string[]): string {
  const key = `who.${role}`
  return known(key) ? t(key, { accounts: accounts.join(', ') }) : role
}
