// One line for each event: its time, name and identity.

export const about = {
  name: '{{name}}',
  version: '0.1.0',
  summary: 'Says in one sentence what it does',
};

export const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    prefix: {
      description: 'What each line begins with.',
      type: 'string',
      default: '',
    },
  },
};

export class Format {
  constructor(settings) {
    this.prefix = settings.prefix ?? '';
  }

  // The line of this event, without its line feed.
  line(event) {
    const seconds = event.timeUnixNs / 1_000_000_000n;
    return `${this.prefix}${seconds} ${event.name} ${event.identity ?? '-'}`;
  }
}
