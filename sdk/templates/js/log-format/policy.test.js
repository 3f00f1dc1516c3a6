import assert from 'node:assert/strict';
import test from 'node:test';
import { Format } from './policy.js';

test('an event is a line', () => {
  const event = { timeUnixNs: 1699410963634000000n, name: 'peer_up', identity: 'test' };
  assert.equal(new Format({ prefix: 'hq ' }).line(event), 'hq 1699410963 peer_up test');
  assert.equal(new Format({}).line({ ...event, identity: undefined }), '1699410963 peer_up -');
});
