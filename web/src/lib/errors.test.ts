import { CombinedGraphQLErrors, ServerError } from '@apollo/client/errors';
import { describe, expect, it } from 'vitest';
import { faultOf, isTransient } from '@/lib/errors';

const graphql = (code: string, message = 'server words') =>
  new CombinedGraphQLErrors({ errors: [{ message, extensions: { code } }] });
const http = (status: number, bodyText = '') =>
  new ServerError('', { response: new Response(null, { status }), bodyText });

describe('faultOf', () => {
  it.each([
    ['BAD_INPUT', 'bad-input'],
    ['NOT_FOUND', 'not-found'],
    ['CONFLICT', 'conflict'],
    ['FORBIDDEN', 'forbidden'],
    ['UNAUTHENTICATED', 'sign-in'],
    ['LINK_INVALID', 'link-invalid'],
    ['LINK_EXPIRED', 'link-expired'],
    ['UNAVAILABLE', 'unavailable'],
    ['INTERNAL', 'internal'],
    ['GRAPHQL_INVALID', 'internal'],
    ['TOO_COMPLEX', 'internal'],
    ['A_CODE_OF_NEXT_YEAR', 'internal'],
  ] as const)('reads the code %s', (code, kind) => {
    expect(faultOf(graphql(code)).kind).toBe(kind);
  });

  it('repeats the words of the server only where they are meant for the person', () => {
    expect(faultOf(graphql('BAD_INPUT', '`until` lies in the past')).detail).toBe('`until` lies in the past');
    expect(faultOf(graphql('INTERNAL', 'SELECT * FROM …')).detail).toBeUndefined();
  });

  it.each([
    [http(401, '{"errors":[{"message":"m","extensions":{"code":"UNAUTHENTICATED"}}]}'), 'sign-in'],
    [http(403, '{"error":{"code":"FORBIDDEN","message":"Origin"}}'), 'forbidden'],
    [http(401, '<html>'), 'sign-in'],
    [http(421, 'null'), 'internal'],
    [http(502, '<html>bad gateway'), 'offline'],
    [http(503), 'unavailable'],
  ] as const)('reads an HTTP status: %s', (error, kind) => {
    expect(faultOf(error).kind).toBe(kind);
  });

  it('takes a failed fetch for a broken connection, and for nothing else', () => {
    expect(faultOf(new TypeError('Failed to fetch')).kind).toBe('offline');
    expect(faultOf(new RangeError('a defect of ours')).kind).toBe('internal');
    expect(faultOf('thrown text').kind).toBe('internal');
  });

  it('says what may be sent again', () => {
    expect(isTransient(new TypeError('Failed to fetch'))).toBe(true);
    expect(isTransient(graphql('UNAVAILABLE'))).toBe(true);
    expect(isTransient(graphql('CONFLICT'))).toBe(false);
  });
});
