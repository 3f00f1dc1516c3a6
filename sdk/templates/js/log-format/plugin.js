// The door between the gateway and policy.js.
import { about, Format, schema } from './policy.js';

let running;

export const plugin = {
  describe() {
    return { ...about, settingsSchema: JSON.stringify(schema) };
  },
  init(settings) {
    running = new Format(JSON.parse(settings));
  },
};

export const log = {
  format(events) {
    return new TextEncoder().encode(events.map((event) => `${running.line(event)}\n`).join(''));
  },
};
