import { CombinedGraphQLErrors, ServerError, ServerParseError } from '@apollo/client/errors';

/** What a person can do about it decides the kind. */
export type FaultKind =
  | 'offline' // wait, or look at the network
  | 'sign-in' // say who you are
  | 'link-expired' // the link of an e-mail is too old
  | 'link-invalid'
  | 'forbidden' // ask somebody who may
  | 'not-found'
  | 'conflict' // somebody was faster
  | 'bad-input'
  | 'unavailable' // wait
  | 'internal'; // tell whoever runs Andon

/** An error as it is told to a person: what happened, and what to do. */
export interface Fault {
  kind: FaultKind;
  title: string;
  advice: string;
  /** The server's own words, where they say more. */
  detail?: string;
}

/** Codes of the dashboard service (`extensions.code`, and `error.code` outside GraphQL). */
const byCode: Record<string, Omit<Fault, 'detail'>> = {
  BAD_INPUT: { kind: 'bad-input', title: 'That could not be taken.', advice: 'Change it and try again.' },
  NOT_FOUND: {
    kind: 'not-found',
    title: 'This is not here.',
    advice: 'It may have been removed, or the link is wrong.',
  },
  CONFLICT: {
    kind: 'conflict',
    title: 'The incident has changed meanwhile.',
    advice: 'Look at it as it is now, then decide again.',
  },
  FORBIDDEN: { kind: 'forbidden', title: 'You may not do this.', advice: 'Ask somebody who may.' },
  UNAUTHENTICATED: { kind: 'sign-in', title: 'Sign-in needed.', advice: 'Andon does not know who you are.' },
  LINK_INVALID: {
    kind: 'link-invalid',
    title: 'This link is not valid.',
    advice: 'Open it from the e-mail again, whole. If it stays so, ask for the incident at the control room.',
  },
  LINK_EXPIRED: {
    kind: 'link-expired',
    title: 'This link has expired.',
    advice: 'A link in an e-mail works for 12 hours. Open the incident in the dashboard.',
  },
  UNAVAILABLE: {
    kind: 'unavailable',
    title: 'Andon cannot reach one of its stores.',
    advice: 'Nothing is lost. It tries again by itself.',
  },
  INTERNAL: { kind: 'internal', title: 'Andon made a mistake.', advice: 'Try again. If it stays so, look at its log.' },
  GRAPHQL_INVALID: {
    kind: 'internal',
    title: 'This page is older than the server.',
    advice: 'Load the page again.',
  },
  TOO_COMPLEX: { kind: 'internal', title: 'The page asked for too much at once.', advice: 'Narrow the filter.' },
};

const offline: Fault = {
  kind: 'offline',
  title: 'Andon cannot be reached.',
  advice: 'What you see is the last that arrived. It is tried again by itself.',
};

/** Codes whose server message names what the person wrote, and so is worth showing. */
const telling = new Set<FaultKind>(['bad-input', 'conflict', 'forbidden', 'unavailable', 'not-found']);

/** The one place where an error becomes a sentence. */
export function faultOf(error: unknown): Fault {
  if (CombinedGraphQLErrors.is(error)) {
    const first = error.errors[0];
    return fromCode(first?.extensions?.['code'], first?.message);
  }
  if (ServerError.is(error)) {
    const { code, message } = readBody(error.bodyText);
    return code === undefined ? fromStatus(error.statusCode) : fromCode(code, message);
  }
  // A proxy's page instead of an answer.
  if (ServerParseError.is(error)) return error.statusCode >= 400 ? fromStatus(error.statusCode) : offline;
  if (error instanceof TypeError || (error instanceof DOMException && error.name !== 'DataCloneError')) return offline;
  return fromCode('INTERNAL', undefined);
}

/** Can the same be sent again later without asking? */
export function isTransient(error: unknown): boolean {
  const { kind } = faultOf(error);
  return kind === 'offline' || kind === 'unavailable';
}

function fromCode(code: unknown, message: string | undefined): Fault {
  const known = (typeof code === 'string' ? byCode[code] : undefined) ?? byCode['INTERNAL'];
  if (known === undefined) return offline;
  return message !== undefined && telling.has(known.kind) ? { ...known, detail: message } : known;
}

function fromStatus(status: number): Fault {
  if (status === 401) return fromCode('UNAUTHENTICATED', undefined);
  if (status === 403) return fromCode('FORBIDDEN', undefined);
  if (status === 404) return fromCode('NOT_FOUND', undefined);
  if (status === 502 || status === 504) return offline;
  if (status === 503) return fromCode('UNAVAILABLE', undefined);
  return fromCode('INTERNAL', undefined);
}

/** `{"error":{"code","message"}}`, or GraphQL's `errors` beside a status that is not 200. */
function readBody(text: string): { code?: string; message?: string } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return {};
  }
  if (!isObject(body)) return {};
  const plain = body['error'];
  if (isObject(plain)) return pick(plain['code'], plain['message']);
  const first: unknown = Array.isArray(body['errors']) ? body['errors'][0] : undefined;
  if (!isObject(first)) return {};
  const extensions = first['extensions'];
  return pick(isObject(extensions) ? extensions['code'] : undefined, first['message']);
}

function pick(code: unknown, message: unknown): { code?: string; message?: string } {
  return {
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof message === 'string' ? { message } : {}),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
