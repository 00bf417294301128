import { expect, test } from 'vitest'
import { empty, told } from '../src/chat/answer'
import * as chat from '../src/chat/conversation'
import { oneEvent, serverEvents } from '../src/api/sse'

const SETTINGS: chat.Settings = { model: 'assistant', system: 'Be brief.', temperature: null, maxTokens: null }

function spoken(): chat.Conversation {
  let talk = chat.begun('c', SETTINGS, 1)
  talk = chat.added(talk, chat.turn('1', null, 'user', { text: 'Why?\nReally.' }), 2)
  talk = chat.added(talk, chat.turn('2', '1', 'assistant', { text: 'Because.' }), 3)
  return chat.added(talk, chat.turn('3', '2', 'user', { text: 'And?' }), 4)
}

test('the messages are those above the turn, with the system prompt first', () => {
  expect(chat.messages(spoken(), '3')).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Why?\nReally.' },
    { role: 'assistant', content: 'Because.' },
    { role: 'user', content: 'And?' },
  ])
})

test('an edited turn is a branch, and the former one can be looked at again', () => {
  const edited = chat.added(spoken(), chat.turn('1b', null, 'user', { text: 'How?' }), 5)
  expect(chat.path(edited).map((each) => each.id)).toEqual(['1b'])
  expect(chat.branches(edited, edited.turns['1b']!)).toEqual(['1', '1b'])
  expect(chat.path(chat.switched(edited, '1')).map((each) => each.id)).toEqual(['1', '2', '3'])
})

test('the title is the first line that was said, cut between letters', () => {
  expect(spoken().title).toBe('Why?')
  const long = chat.added(chat.begun('c', SETTINGS, 1), chat.turn('1', null, 'user', { text: '🙂'.repeat(100) }), 2)
  expect([...long.title]).toHaveLength(60)
  expect(long.title.endsWith('🙂…')).toBe(true)
})

test('pictures go beside the text of their turn', () => {
  const picture = { name: 'a.png', url: 'data:image/png;base64,AA' }
  const talk = chat.added(chat.begun('c', { ...SETTINGS, system: ' ' }, 1), chat.turn('1', null, 'user', { pictures: [picture] }), 2)
  expect(chat.messages(talk, '1')).toEqual([{ role: 'user', content: [{ type: 'image_url', image_url: { url: picture.url } }] }])
})

test('an answer that came while the page was closed is cut', () => {
  const talk = chat.added(spoken(), chat.turn('4', '3', 'assistant', { text: 'Half', ending: 'running' }), 5)
  expect(chat.recovered(talk).turns['4']!.ending).toBe('cut')
  expect(chat.recovered(talk).turns['2']!.ending).toBe('whole')
})

test('chunks make an answer: reasoning, text, calls in pieces, tokens, and when it began', () => {
  let answer = empty()
  answer = told(answer, { choices: [{ delta: { content: '' } }] }, 5)
  expect(answer.facts.firstTokenMs).toBeUndefined()
  answer = told(answer, { choices: [{ delta: { reasoning_content: 'hm' } }] }, 10)
  answer = told(answer, { choices: [{ delta: { content: 'Yes' } }] }, 20)
  answer = told(answer, { choices: [{ delta: { tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"x"' } }] } }] }, 30)
  answer = told(answer, { choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] } }] }, 31)
  expect(answer.ending).toBe('running')
  answer = told(answer, { choices: [{ delta: {}, finish_reason: 'tool_calls' }] }, 40)
  answer = told(answer, { choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } }, 41)
  expect(answer).toEqual({
    text: 'Yes',
    reasoning: 'hm',
    calls: [{ id: 'a', name: 'f', arguments: '{"x":1}' }],
    ending: 'whole',
    problem: '',
    facts: { firstTokenMs: 10, promptTokens: 3, completionTokens: 4 },
  })
})

test('an error in a stream ends the answer, and keeps what came', () => {
  const answer = told({ ...empty(), text: 'Half' }, { error: { message: 'upstream: it broke' } }, 9)
  expect([answer.text, answer.ending, answer.problem]).toEqual(['Half', 'failed', 'upstream: it broke'])
})

test('events are read out of bytes, however these are cut', async () => {
  const bytes = new TextEncoder().encode(': ping\n\nid: 7\nevent: a\ndata: ü\r\ndata:2\r\n\r\ndata: {"x": 1}\n\ndata: half')
  for (let size = 1; size <= bytes.length; size += 1) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size))
        controller.close()
      },
    })
    const found = []
    for await (const event of serverEvents(body)) found.push(event)
    expect(found, `pieces of ${size}`).toEqual([
      { event: 'a', data: 'ü\n2', id: '7' },
      { event: 'message', data: '{"x": 1}', id: undefined },
    ])
  }
})

test('a comment is no event', () => {
  expect(oneEvent(': ping')).toBeUndefined()
})
