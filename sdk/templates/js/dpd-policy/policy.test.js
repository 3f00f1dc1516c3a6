import assert from 'node:assert/strict';
import test from 'node:test';
import { Policy } from './policy.js';

const evidence = (more) => ({
  trigger: 'before-send',
  nowMs: 30001n,
  establishedMs: 0n,
  ikeInMs: 0n,
  espInMs: 0n,
  transmissions: 0,
  retryMs: 5000,
  retries: 5,
  ...more,
});

test('a quiet device is probed before a packet', () => {
  const policy = new Policy({ 'quiet-ms': 30000 });
  assert.deepEqual(policy.decide(evidence()), { tag: 'probe', val: 5000n });
  assert.deepEqual(policy.decide(evidence({ nowMs: 30000n })), { tag: 'wait' });
  assert.deepEqual(policy.decide(evidence({ espInMs: 1n })), { tag: 'wait' });
});

test('silence ends in giving up', () => {
  const policy = new Policy({});
  const after = (transmissions) => evidence({ trigger: 'unanswered', transmissions });
  assert.equal(policy.decide(after(5)).tag, 'probe');
  assert.equal(policy.decide(after(6)).tag, 'give-up');
});
