// The door between the gateway and policy.js.
import { about, Policy, schema } from './policy.js';

let running;

export const plugin = {
  describe() {
    return { ...about, settingsSchema: JSON.stringify(schema) };
  },
  init(settings) {
    running = new Policy(JSON.parse(settings));
  },
};

export const authorization = {
  authorize(request) {
    return running.authorize(request);
  },
};
