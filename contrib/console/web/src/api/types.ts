/** What the operator API answers, as far as it is looked at here; all of it is in `/openapi.json`. */

export interface BreakerState {
  readonly state: 'closed' | 'open' | 'half_open'
  readonly opens_in_row: number
  readonly calls: number
  readonly failures: number
  readonly seconds_left: number | null
}

export interface LimitState {
  readonly [member: string]: unknown
}

export interface Deployment {
  readonly id: string
  readonly provider: string
  readonly model: string
  readonly transport: string
  readonly weight: number
  readonly priority: number
  readonly state: string
  readonly blocked: string | null
  readonly refused: string | null
  readonly breaker: BreakerState | null
  readonly ejection: unknown
  readonly checks: unknown
  readonly warm_up: { readonly active: boolean; readonly seconds_left: number; readonly share: number } | null
  readonly in_flight: number
  readonly max_in_flight: number | null
  readonly places: number | null
  readonly cool_down: { readonly seconds_left?: number; readonly reason?: string } | null
  readonly limits: readonly LimitState[]
  readonly outcomes: Readonly<Record<string, number>>
  readonly last_error: { readonly code: string; readonly status: number | null; readonly message: string; readonly seconds_ago: number } | null
  readonly first_token_ms: number | null
  readonly total_ms: number | null
}

export interface Model {
  readonly strategy: string
  readonly degraded: string | null
  readonly fallback: readonly string[]
  readonly queue: { readonly waiting: number; readonly served: number; readonly refused: number; readonly shed: number } | null
  readonly deployments: readonly Deployment[]
}

export interface Status {
  readonly version: string
  readonly config: string | null
  readonly running: readonly unknown[]
  readonly models: Readonly<Record<string, Model>>
  readonly selectors: Readonly<Record<string, unknown>>
  readonly aliases: Readonly<Record<string, string>>
  readonly patterns: Readonly<Record<string, unknown>>
  readonly state: { readonly available?: boolean; readonly store?: string } | null
  readonly in_flight: number
  readonly configuration: {
    readonly file: string | null
    readonly loaded_at: number
    readonly changes: readonly string[]
    readonly refused: { readonly at: number; readonly problems: readonly { readonly message: string }[] } | null
  } | null
  readonly discoveries: readonly unknown[]
  readonly credentials: readonly Credential[]
  readonly budgets: readonly BudgetState[]
  readonly audit: readonly unknown[]
  readonly budgets_trouble: string
}

/** A credential by its name and state; its value is nowhere. */
export interface Credential {
  readonly provider: string
  readonly source: string
  readonly name: string
  readonly state: string
  readonly seconds_left: number | null
  readonly rests_for: number | null
  readonly trouble: string
}

export interface Usage {
  readonly prompt: number | null
  readonly completion: number | null
  readonly cached?: number | null
  readonly reasoning?: number | null
}

export interface EndedAttempt {
  readonly deployment: string
  readonly model: string
  readonly outcome: string
  readonly error: string
  readonly detail: string
  readonly status: number | null
  readonly seconds: number
  readonly first_token: number | null
  readonly hedge: boolean
  readonly cost_microcents: number | null
}

export interface EndedRequest {
  readonly id: string
  readonly at: string
  readonly operation: string
  readonly caller: string
  readonly model: string
  readonly pool: string
  readonly deployment: string
  readonly result: string
  readonly error: string
  readonly detail: string
  readonly seconds: number
  readonly usage: Usage | null
  readonly cost_microcents: number | null
  readonly tags: Readonly<Record<string, string>>
  readonly attempts: readonly EndedAttempt[]
}

export interface Session {
  readonly name: string
  readonly operator: boolean
  readonly models: readonly string[] | null
  readonly csrf: string | null
  /** What operators reach beside the usual: `callers`, `budgets`, `spend`, as their packages are in use. */
  readonly offers: readonly string[]
}

/** An event of `/admin/v1/events`: its members are those of the events of the router. */
export interface RouterEvent {
  readonly type: string
  /** Seconds since 1970. */
  readonly at: number
  readonly request_id?: string
  readonly model?: string
  readonly deployment?: string
  readonly caller?: string
  readonly operation?: string
  readonly number?: number
  readonly outcome?: string
  readonly result?: string
  readonly error?: string
  readonly detail?: string
  readonly status?: number | null
  readonly seconds?: number
  readonly first_token?: number | null
  readonly usage?: Usage | null
  readonly cost_microcents?: number | null
  readonly pool?: string
  readonly delay?: number
  readonly hedge?: boolean
  readonly tags?: Readonly<Record<string, string>>
  readonly old?: string
  readonly new?: string
  readonly reason?: string
  readonly subject?: string
  readonly healthy?: boolean
  readonly code?: string
}

/** Where a request would go, as `/admin/v1/explain` says it. */
export interface Explanation {
  readonly model: string
  readonly pick: string | null
  readonly chain: readonly {
    readonly model: string
    readonly strategy: string
    readonly degraded: string | null
    readonly pick: string | null
    readonly scored_by: string
    readonly candidates: readonly {
      readonly id: string
      readonly weight: number
      readonly priority: number
      readonly ready: boolean
      readonly reasons: readonly string[]
      readonly score: number | null
      readonly in_flight: number
      readonly places: number | null
    }[]
  }[]
  readonly attempts: readonly { readonly model: string; readonly deployment: string }[]
  readonly prompt_tokens: number | null
  readonly answer_tokens: number | null
  readonly cost_usd: number | null
}

export interface CallerKey {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly models: readonly string[] | null
  readonly operator: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly limits: Readonly<Record<string, string | readonly string[]>>
  readonly created: string
  readonly expires: string | null
  readonly last_used: string | null
}

export interface BudgetState {
  readonly rule: string
  readonly subject: string
  readonly unit: string
  readonly per: string
  readonly limit: number
  readonly spent: number
  readonly held: number
  readonly resets_in: number | null
  readonly refused: number
}

export interface Spend {
  readonly by: string
  readonly lines: readonly {
    readonly of: string
    readonly attempts: number
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly cost_microcents: number
    readonly unpriced: number
  }[]
}

/** What is wrong with a configuration, and where. */
export interface ConfigProblem {
  readonly code: string | null
  readonly message: string
  readonly path: string | null
  readonly hint: string | null
  readonly file: string | null
  readonly line: number | null
  readonly column: number | null
  readonly source: string | null
  /** How many characters stand before the place in `source`. */
  readonly caret: number | null
}

export interface AuditRecord {
  readonly seq: number
  readonly ts: string
  readonly event: string
  readonly [member: string]: unknown
}

/** The last hour, minute by minute, as `/admin/v1/history` tells it; minutes without anything are left out. */
export interface HistoryTold {
  /** Seconds since 1970. */
  readonly now: number
  readonly since: number
  /** How long each of `minutes` is. */
  readonly seconds: number
  /** How many events are in no sum. */
  readonly lost: number
  readonly minutes: readonly {
    readonly at: number
    readonly requests: number
    /** By fault domain. */
    readonly errors: Readonly<Record<string, number>>
    /** By code; these never reached the router. */
    readonly refused: Readonly<Record<string, number>>
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly cost_microcents: number
    readonly first_token_ms: readonly (readonly [ms: number, count: number])[]
    readonly answers: Readonly<Record<string, Readonly<Record<string, number>>>>
    readonly deployments: Readonly<Record<string, {
      readonly prompt_tokens: number
      readonly cached_tokens: number
      readonly completion_tokens: number
      readonly busy_seconds: number
    }>>
  }[]
  readonly changes: readonly RouterEvent[]
}

/** Who has which model, as `/admin/v1/models` says it; null is what nobody knows. */
export interface ModelsTold {
  readonly models: readonly {
    readonly name: string
    readonly alias_of: string | null
    readonly can: readonly string[]
    readonly context_length: number | null
    readonly family: string | null
    readonly deployments: readonly { readonly id: string; readonly there: boolean | null; readonly warm: boolean | null }[]
  }[]
  readonly providers: readonly ProviderTold[]
}

export interface ProviderTold {
  readonly name: string
  readonly type: string
  readonly pull: boolean
  readonly delete: boolean
  readonly trouble: string | null
  readonly models: readonly { readonly name: string; readonly size_bytes: number | null; readonly warm: boolean | null }[]
}
