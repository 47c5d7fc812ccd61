// Answers that were cut off when their tab ended: what WebLLM calls resumable sessions.

import { rethrown, watched } from "./mlc_answers.js";

/** All of them, the newest first; `idOf`: the page's name for a model. */
export async function sessionsOf(engine, idOf) {
  const found = await engine.unfinished();
  return found.map(({ name, model, begun, tokens }) => {
    return { sessionId: name, model: idOf(model), createdAt: Math.round(begun * 1000), tokens };
  });
}

/** What one of them said; or all of it, once it is finished; or the pieces that are missing. */
export async function resumed(engine, sessionId, { continueGeneration = false, stream = false }, modelOf) {
  const result = (recoveredText) => ({ sessionId, recoveredText, recoveryMode: "token_replay" });
  const found = (await engine.unfinished()).find(({ name }) => name === sessionId);
  if (found?.text != null && !continueGeneration) return result(found.text);
  const answer = await engine.resume(sessionId).catch(rethrown()); // says what is wrong, too
  const model = modelOf(found.model);
  Object.assign(model, { said: [], forwarded: [], message: "" });
  const chunks = watched(answer, model, { stream_options: { include_usage: true } }, () => {});
  if (stream) return behind(chunks, found.text);
  for await (const _ of chunks);
  return result(model.message);
}

/** The chunks of an answer without the text that the page has. */
async function* behind(chunks, known) {
  let left = known;
  for await (const chunk of chunks) {
    const [first] = chunk.choices;
    const content = first?.delta?.content;
    if (left && content) {
      const same = commonLength(left, content);
      left = same === content.length ? left.slice(same) : ""; // a partial stop string is not said
      first.delta.content = content.slice(same);
    }
    yield chunk;
  }
}

function commonLength(one, other) {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}
