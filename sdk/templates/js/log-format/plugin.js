// The door between the gateway and policy.js: numbers become words, and spans become text.
import { about, Format, schema } from './policy.js';

const severities = ['debug', 'info', 'notice', 'warning', 'error'];
const decoder = new TextDecoder();
const encoder = new TextEncoder();
let running;

// The event as policy.js gets it: texts that are not there are undefined, fields are an object.
function unpack(octets, fields, event) {
  const text = ({ at, length }) => decoder.decode(octets.subarray(at, at + length));
  const value = ({ tag, val }) => (tag === 'text' ? text(val) : val);
  const own = fields.slice(event.firstField, event.firstField + event.fields);
  return {
    ...event,
    device: event.device || undefined,
    severity: severities[event.severity] ?? 'error',
    name: text(event.name),
    tenant: text(event.tenant) || undefined,
    template: text(event.template) || undefined,
    identity: text(event.identity) || undefined,
    local: text(event.local) || undefined,
    remote: text(event.remote) || undefined,
    fields: Object.fromEntries(own.map((field) => [text(field.name), value(field.value)])),
  };
}

export const plugin = {
  describe() {
    return { ...about, settingsSchema: JSON.stringify(schema) };
  },
  init(settings) {
    running = new Format(JSON.parse(settings));
  },
};

export const log = {
  format(texts, fields, events) {
    // Spans count octets.
    const octets = encoder.encode(texts);
    const lines = events.map((event) => `${running.line(unpack(octets, fields, event))}\n`);
    return encoder.encode(lines.join(''));
  },
};
