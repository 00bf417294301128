/** Numbers as people read them. All functions give a short text; a number that is not known is an en dash. */
export const UNKNOWN = '–'

/** Seconds as `340 ms`, `2.1 s`, `3 min`, `2 h`, `4 d`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return UNKNOWN
  if (seconds < 0.9995) return `${Math.round(seconds * 1_000)} ms`
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  if (seconds < 119.5) return `${Math.round(seconds)} s`
  if (seconds < 7_170) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_000) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

/** A count or a rate with three digits: `0.42`, `7.3`, `128`, `12.4k`, `3.1M`. */
export function short(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return UNKNOWN
  const size = Math.abs(value)
  if (size >= 999_500) return `${trimmed(value / 1e6)}M`
  if (size >= 9_995) return `${trimmed(value / 1e3)}k`
  return Number.isInteger(value) ? String(value) : trimmed(value)
}

function trimmed(value: number): string {
  const digits = Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : Math.abs(value) >= 0.995 ? 1 : 2
  return value.toFixed(digits)
}

/** Millionths of a cent as dollars: `$0`, `$0.00021`, `$1.24`. */
export function money(microcents: number | null | undefined): string {
  if (microcents == null) return UNKNOWN
  const dollars = microcents / 1e8
  if (dollars === 0) return '$0'
  return dollars >= 0.995 ? `$${dollars.toFixed(2)}` : `$${Number(dollars.toPrecision(2)).toFixed(8).replace(/0+$/u, '')}`
}

/** Seconds since 1970 as a time of this day, in the zone of who looks. */
export function time(at: number): string {
  return new Date(at * 1_000).toLocaleTimeString([], { hour12: false })
}

/** A share, from 0 to 1, as `37 %`. */
export function percent(share: number | null | undefined): string {
  return share == null ? UNKNOWN : `${Math.round(share * 100)} %`
}

/** Bytes as `640 MB`, `2.0 GB`: as disks are sold, by thousands. */
export function bytes(count: number | null | undefined): string {
  if (count == null) return UNKNOWN
  if (count >= 999.5e6) return `${(count / 1e9).toFixed(1)} GB`
  if (count >= 999.5e3) return `${Math.round(count / 1e6)} MB`
  return `${Math.round(count / 1e3)} kB`
}
