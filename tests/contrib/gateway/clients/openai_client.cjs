// What programs do with OpenAI's official SDK for Node: address and models on the command line, JSON on stdout.
"use strict";

const assert = require("node:assert");
const OpenAI = require("openai");

const messages = [{ role: "user", content: "Where do the points lie?" }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "forecast", parameters } }];

const features = {
  async chat(client, model) {
    const said = await client.chat.completions.create({ model, messages });
    assert(said.choices[0].message.content);
    assert.equal(said.model, model);
    assert.equal(said.choices[0].finish_reason, "stop");
    assert(said._request_id);
  },
  async stream(client, model) {
    let text = "";
    let reason = null;
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      text += chunk.choices[0].delta.content ?? "";
      reason = chunk.choices[0].finish_reason;
    }
    assert(text);
    assert.equal(reason, "stop");
  },
  async tools(client, model) {
    const said = await client.chat.completions.create({ model, messages, tools });
    const [call] = said.choices[0].message.tool_calls;
    assert.equal(call.function.name, "forecast");
    assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
  },
  async stream_helper(client, model) {
    const helper = client.chat.completions.stream({ model, messages, tools });
    const [call] = (await helper.finalChatCompletion()).choices[0].message.tool_calls;
    assert.equal(call.function.name, "forecast");
    assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
  },
  async embeddings(client, model) {
    const { data } = await client.embeddings.create({ model, input: ["one", "two"] });
    assert.deepEqual(data.map((each) => each.index), [0, 1]);
    assert(data[0].embedding.length > 1);
  },
  async models(client, model) {
    const names = [];
    for await (const each of client.models.list()) names.push(each.id);
    assert(names.includes(model));
    for (const name of names) assert.equal((await client.models.retrieve(name)).id, name);
  },
  async responses(client, model) {
    const said = await client.responses.create({ model, input: "Where do the points lie?" });
    assert(said.output_text);
    assert.equal(said.model, model);
    assert.equal(said.status, "completed");
  },
  async responses_helper(client, model) {
    const flat = { type: "function", name: "forecast", parameters, strict: false };
    const helper = client.responses.stream({ model, input: "Where do the points lie?", tools: [flat] });
    const final = await helper.finalResponse();
    const call = final.output.find((each) => each.type === "function_call");
    assert.equal(call.name, "forecast");
    assert.equal(typeof JSON.parse(call.arguments).city, "string");
  },
  async errors(client, model) {
    const asked = client.chat.completions.create({ model: `${model}-none`, messages });
    const error = await asked.then(() => null, (raised) => raised);
    assert(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
  },
};

async function main([baseURL, ...models]) {
  const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, timeout: 10_000 });
  const found = {};
  for (const model of models) {
    found[model] = {};
    for (const [name, feature] of Object.entries(features)) {
      found[model][name] = await feature(client, model).then(() => "ok", String);
    }
  }
  process.stdout.write(JSON.stringify({ version: require("openai/version").VERSION, found }));
}

main(process.argv.slice(2));
