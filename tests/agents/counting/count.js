// Counts the tokens in all transcripts below a directory, by model. Each answer (message id and request id)
// counts once, with the usage of the row that has the most output. This script knows nothing about kage.
const fs = require('fs');
const path = require('path');

const answers = new Map();
for (const entry of fs.readdirSync(process.argv[2], { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith('.jsonl')) continue;
  for (const line of fs.readFileSync(path.join(entry.parentPath ?? entry.path, entry.name), 'utf8').split('\n')) {
    if (!line.includes('"usage"')) continue;
    let row;
    try { row = JSON.parse(line); } catch { continue; }
    const { type, requestId, message } = row ?? {};
    if (type !== 'assistant' || !message?.usage || message.model.startsWith('<')) continue;
    const key = JSON.stringify([message.id ?? null, requestId ?? null]);
    const known = answers.get(key);
    if (!known || (message.usage.output_tokens ?? 0) > (known.usage.output_tokens ?? 0)) answers.set(key, message);
  }
}
const models = {};
for (const { model, usage } of answers.values()) {
  const total = (models[model] ??= [0, 0, 0, 0, 0]);
  const long = usage.cache_creation?.ephemeral_1h_input_tokens ?? 0;
  const short = usage.cache_creation?.ephemeral_5m_input_tokens ?? usage.cache_creation_input_tokens ?? 0;
  const counts = [usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens, short, long];
  counts.forEach((count, at) => { total[at] += count ?? 0; });
}
console.log(JSON.stringify(models));
