/** The attempts of a request as bars: where each begins and ends between the start and the end of the whole. */
import type { Request } from './requests'

export interface Bar {
  readonly number: number
  readonly deployment: string
  /** Shares of the whole, from 0 to 1. */
  readonly from: number
  readonly firstToken: number | null
  readonly until: number
  readonly failed: boolean
  readonly running: boolean
  readonly hedge: boolean
  readonly seconds: number | null
  readonly why: string
}

/**
 * @param now - seconds since 1970; what runs goes on until then
 * @param begun - whether the beginnings of attempts are known; else each begins where the one before it ended
 */
export function bars(request: Request, now: number): Bar[] {
  const end = request.seconds === null ? now : request.at + request.seconds
  const whole = Math.max(0.001, end - request.at)
  const share = (at: number): number => Math.min(1, Math.max(0, (at - request.at) / whole))
  let before = request.at
  return request.attempts.map((attempt) => {
    const begun = attempt.begun > request.at || attempt.hedge ? attempt.begun : before
    const ended = attempt.seconds === null ? (request.phase === 'ended' ? end : now) : begun + attempt.seconds
    before = ended
    return {
      number: attempt.number,
      deployment: attempt.deployment,
      from: share(begun),
      firstToken: attempt.firstToken === null ? null : share(begun + attempt.firstToken),
      until: share(ended),
      failed: attempt.outcome !== '' && attempt.outcome !== 'ok',
      running: attempt.outcome === '' && request.phase !== 'ended',
      hedge: attempt.hedge,
      seconds: attempt.seconds,
      why: [attempt.error || attempt.outcome, attempt.status, attempt.detail].filter(Boolean).join(' · '),
    }
  })
}
