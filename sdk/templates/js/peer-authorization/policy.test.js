import assert from 'node:assert/strict';
import test from 'node:test';
import { Policy } from './policy.js';

test('only the suffix comes in', () => {
  const policy = new Policy({ suffix: '.branch.example' });
  assert.equal(policy.authorize({ identity: 'n1.branch.example' }).tag, 'allow');
  const verdict = policy.authorize({ identity: 'n1.elsewhere.example' });
  assert.equal(verdict.tag, 'deny');
  assert.equal(verdict.val.code, 'not-permitted');
});
