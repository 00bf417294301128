/** What is wrong now, in the order in which somebody wants to hear of it. */
import type { Deployment, Status } from '../api/types'

export interface Trouble {
  readonly kind: 'model_down' | 'deployment' | 'degraded' | 'config_refused' | 'state_away' | 'budgets' | 'credential' | 'queue'
  readonly severity: 'bad' | 'warn'
  /** The model, deployment or file that it is about. */
  readonly subject: string
  /** Why, in words of the gateway. */
  readonly detail: string
  /** Whether a reset of the deployment takes it away. */
  readonly resets?: boolean
}

export function isReady(deployment: Deployment): boolean {
  return deployment.state === 'up' && !deployment.blocked && !deployment.refused
}

/** Why nothing is sent there now; empty where something is. */
export function whyNot(deployment: Deployment): string {
  return deployment.refused ?? deployment.blocked ?? (deployment.state === 'up' ? '' : deployment.state)
}

function isResting({ breaker, cool_down: coolDown }: Deployment): boolean {
  return (breaker != null && breaker.state !== 'closed') || coolDown != null
}

export function troubles(status: Status): Trouble[] {
  const found: Trouble[] = []
  for (const [name, model] of Object.entries(status.models)) {
    const ready = model.deployments.filter(isReady)
    if (model.deployments.length && !ready.length) {
      const why = [...new Set(model.deployments.map(whyNot))].join('; ')
      found.push({ kind: 'model_down', severity: 'bad', subject: name, detail: why })
    } else {
      for (const each of model.deployments.filter((one) => !isReady(one))) {
        found.push({ kind: 'deployment', severity: 'warn', subject: each.id, detail: whyNot(each), resets: isResting(each) })
      }
    }
    if (model.degraded) found.push({ kind: 'degraded', severity: 'warn', subject: name, detail: model.degraded })
    if (model.queue?.waiting) {
      found.push({ kind: 'queue', severity: 'warn', subject: name, detail: String(model.queue.waiting) })
    }
  }
  const { configuration } = status
  if (configuration?.refused) {
    const subject = configuration.file ?? ''
    found.push({ kind: 'config_refused', severity: 'bad', subject, detail: configuration.refused.problems.map((each) => each.message).join('; ') })
  }
  if (status.state?.available === false) {
    found.push({ kind: 'state_away', severity: 'bad', subject: status.state.store ?? '', detail: '' })
  }
  if (status.budgets_trouble) {
    found.push({ kind: 'budgets', severity: 'bad', subject: '', detail: status.budgets_trouble })
  }
  const once = new Map(found.map((each) => [`${each.kind} ${each.subject}`, each]))
  return [...once.values()].sort((a, b) => rank(a) - rank(b))
}

function rank(trouble: Trouble): number {
  return trouble.severity === 'bad' ? 0 : 1
}
