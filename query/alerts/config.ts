/** What an operator may set of alerts in the configuration; rules and receivers are in a file of their own (file.ts). */
import { type Static, Type } from 'typebox'

export const AlertsConfig = Type.Object(
  {
    enabled: Type.Boolean({ default: true, description: 'this server evaluates rules' }),
    file: Type.Optional(
      Type.String({
        description:
          'YAML with rules and receivers, read again when it changes; absent: ./jobsight-alerts.yaml, then /etc/jobsight-alerts.yaml, where they are',
      }),
    ),
    library: Type.Boolean({ default: true, description: 'the rules that come with Jobsight' }),
    everyMs: Type.Integer({
      minimum: 1000,
      maximum: 3_600_000,
      default: 15_000,
      description: 'how often rules are evaluated',
    }),
    delayMs: Type.Integer({
      minimum: 0,
      maximum: 3_600_000,
      default: 15_000,
      description: 'windows end so long before the clock, so that what is on its way is in',
    }),
    pageUrl: Type.Optional(
      Type.String({ pattern: '^https?://', description: 'how users reach the page; links in messages begin with it' }),
    ),
  },
  { additionalProperties: false, default: {} },
)
export type AlertsConfig = Static<typeof AlertsConfig>

export const ALERTS_DEFAULTS: AlertsConfig = { enabled: true, library: true, everyMs: 15_000, delayMs: 15_000 }
