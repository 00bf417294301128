/** Models, their pools, deployments and fallbacks as a picture: boxes in columns, lines between them. */
import type { Status } from '../api/types'
import { isReady } from './troubles'

export interface Box {
  readonly id: string
  readonly label: string
  readonly detail: string
  readonly kind: 'model' | 'deployment'
  readonly good: boolean
  readonly x: number
  readonly y: number
}

export interface Line {
  readonly from: Box
  readonly to: Box
  readonly kind: 'pool' | 'fallback'
  /** The part of the model's answers that came from there, from 0 to 1; null before there is one. */
  readonly share: number | null
}

export interface Graph {
  readonly boxes: readonly Box[]
  readonly lines: readonly Line[]
  readonly width: number
  readonly height: number
}

/** How it is laid out: deployments beside their model, or below it where there is no room. */
export interface Layout {
  readonly box: number
  readonly right: number
  readonly below: boolean
}

export const WIDE: Layout = { box: 260, right: 460, below: false }
export const NARROW: Layout = { box: 232, right: 28, below: true }
export const BOX_HEIGHT = 44
const ROW = 56
/** On the right of narrow pictures, for lines to fallbacks. */
const MARGIN = 26

/** How many answers of each model came from each of its deployments. */
export type Answers = Readonly<Record<string, Readonly<Record<string, number>>>>

/** The picture of what `status` says, with shares of `answers`; `only` names the model that is looked at with its fallbacks, or '' for all. */
export function graph(status: Status, only: string, answers: Answers, layout: Layout = WIDE): Graph {
  const names = only ? withFallbacks(status, only) : Object.keys(status.models)
  const boxes: Box[] = []
  const lines: Line[] = []
  const models = new Map<string, Box>()
  let y = 0
  for (const name of names) {
    const model = status.models[name]
    if (!model) continue
    const first = y
    if (layout.below) y += ROW
    const from = answers[name] ?? {}
    const total = model.deployments.reduce((sum, each) => sum + (from[each.id] ?? 0), 0)
    const below = model.deployments.map((each) => {
      const detail = `${each.weight} · ${each.in_flight}`
      const box: Box = { id: `${name} ${each.id}`, label: each.id, detail, kind: 'deployment', good: isReady(each), x: layout.right, y }
      y += ROW
      return { box, share: total ? (from[each.id] ?? 0) / total : null }
    })
    if (!below.length && !layout.below) y += ROW
    const good = model.deployments.some(isReady)
    const middle = layout.below ? first : (first + y - ROW) / 2
    const box: Box = { id: name, label: name, detail: model.strategy, kind: 'model', good, x: 0, y: middle }
    models.set(name, box)
    boxes.push(box, ...below.map((each) => each.box))
    lines.push(...below.map((each) => ({ from: box, to: each.box, kind: 'pool' as const, share: each.share })))
    y += ROW / 2
  }
  for (const [name, box] of models) {
    for (const to of status.models[name]?.fallback ?? []) {
      const target = models.get(to)
      if (target) lines.push({ from: box, to: target, kind: 'fallback', share: null })
    }
  }
  return { boxes, lines, width: layout.right + layout.box + (layout.below ? MARGIN : 0), height: Math.max(ROW, y - ROW / 2) }
}

function withFallbacks(status: Status, name: string): string[] {
  const found = [name]
  for (const each of found) {
    for (const next of status.models[each]?.fallback ?? []) {
      if (!found.includes(next)) found.push(next)
    }
  }
  return found
}
