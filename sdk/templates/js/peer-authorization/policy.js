// Lets in the identities that end as the settings say.

export const about = {
  name: '{{name}}',
  version: '0.1.0',
  summary: 'Says in one sentence what it does',
};

export const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['suffix'],
  properties: {
    suffix: {
      description: 'Identities that end so are let in.',
      type: 'string',
      minLength: 1,
    },
  },
};

export class Policy {
  constructor(settings) {
    this.suffix = settings.suffix;
  }

  authorize(request) {
    if (request.identity.endsWith(this.suffix)) {
      return { tag: 'allow', val: { remoteSelectors: [], localSelectors: [], attributes: [] } };
    }
    const detail = `${request.identity} is none of ${this.suffix}`;
    return { tag: 'deny', val: { code: 'not-permitted', detail } };
  }
}
