// What programs do with Anthropic's official SDK for Node: address and models on the command line, JSON on stdout.
"use strict";

const assert = require("node:assert");
const Anthropic = require("@anthropic-ai/sdk");

const messages = [{ role: "user", content: "Where do the points lie?" }];
const tools = [
  {
    name: "forecast",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];

const features = {
  async message(client, model) {
    const said = await client.messages.create({ model, max_tokens: 50, messages });
    assert.equal(said.model, model);
    assert.equal(said.stop_reason, "end_turn");
    assert(said.content[0].text);
    assert(said._request_id);
  },
  async stream_helper(client, model) {
    let text = "";
    const helper = client.messages.stream({ model, max_tokens: 50, messages });
    helper.on("text", (piece) => (text += piece));
    const said = await helper.finalMessage();
    assert.equal(said.content[0].text, text);
    assert(said.usage.output_tokens > 0);
  },
  async tools(client, model) {
    const helper = client.messages.stream({ model, max_tokens: 50, messages, tools });
    const said = await helper.finalMessage();
    const call = said.content.find((block) => block.type === "tool_use");
    assert.equal(call.name, "forecast");
    assert.equal(typeof call.input.city, "string");
    const result = { type: "tool_result", tool_use_id: call.id, content: "rain" };
    const turns = [{ role: "assistant", content: said.content }, { role: "user", content: [result] }];
    const next = await client.messages.create({ model, max_tokens: 50, messages: [...messages, ...turns], tools });
    assert.equal(next.type, "message");
  },
  async count_tokens(client, model) {
    assert((await client.messages.countTokens({ model, messages })).input_tokens > 0);
  },
  async models(client, model) {
    const ids = [];
    for await (const each of client.models.list()) ids.push(each.id);
    assert(ids.includes(model));
  },
  async errors(client, model) {
    const asked = client.messages.create({ model: `${model}-none`, max_tokens: 5, messages });
    const error = await asked.then(() => null, (raised) => raised);
    assert(error instanceof Anthropic.NotFoundError);
    assert.equal(error.error.error.type, "not_found_error");
  },
};

async function main([baseURL, ...models]) {
  const client = new Anthropic({ baseURL, apiKey: "none", maxRetries: 0, timeout: 10_000 });
  const found = {};
  for (const model of models) {
    found[model] = {};
    for (const [name, feature] of Object.entries(features)) {
      found[model][name] = await feature(client, model).then(() => "ok", (error) => `${error}`);
    }
  }
  const version = require("@anthropic-ai/sdk/version").VERSION;
  console.log(JSON.stringify({ version, found }));
}

main(process.argv.slice(2));
