import type { ApolloClient } from '@apollo/client';
import { useApolloClient } from '@apollo/client/react';
import { useEffect } from 'react';
import { create } from 'zustand';
import { AcknowledgeDocument } from '@/gen/graphql';
import { faultOf, type Fault } from '@/lib/errors';

/** How far an acknowledgement of this screen has come. Gone once the server has it and shows it. */
export type AckProgress =
  | { status: 'sending'; comment: string | undefined }
  /** The server could not be reached; it is sent again by itself. */
  | { status: 'not-sent'; comment: string | undefined }
  /** On the server's disk, not yet on the incident. */
  | { status: 'taken' }
  | { status: 'refused'; fault: Fault };

/** How often what was not sent is tried again. */
const RETRY_MS = 5_000;

interface AckStore {
  byIncident: Record<string, AckProgress>;
}

export const useAckStore = create<AckStore>()(() => ({ byIncident: {} }));

function note(id: string, progress: AckProgress | undefined): void {
  useAckStore.setState(({ byIncident }) => {
    const rest = Object.fromEntries(Object.entries(byIncident).filter(([other]) => other !== id));
    return { byIncident: progress === undefined ? rest : { ...rest, [id]: progress } };
  });
}

/** Never rejects: what became of it is in {@link useAckStore}. Acknowledging twice does no harm. */
export async function acknowledge(client: ApolloClient, id: string, comment?: string): Promise<void> {
  note(id, { status: 'sending', comment });
  try {
    const { data } = await client.mutate({
      mutation: AcknowledgeDocument,
      variables: comment === undefined ? { id } : { id, comment },
    });
    note(id, data?.acknowledge.applied === false ? { status: 'taken' } : undefined);
  } catch (error) {
    const fault = faultOf(error);
    const retry = fault.kind === 'offline' || fault.kind === 'unavailable';
    note(id, retry ? { status: 'not-sent', comment } : { status: 'refused', fault });
  }
}

export function useAcknowledge(id: string) {
  const client = useApolloClient();
  const progress = useAckStore((store) => store.byIncident[id]);
  return { progress, acknowledge: (comment?: string) => acknowledge(client, id, comment) };
}

/** Sends again what could not be sent, for as long as the page that uses this is open. */
export function useResendAcknowledgements(): void {
  const client = useApolloClient();
  const waiting = useAckStore(({ byIncident }) =>
    Object.values(byIncident).some(({ status }) => status === 'not-sent'),
  );
  useEffect(() => {
    if (!waiting) return;
    const resend = () => {
      for (const [id, progress] of Object.entries(useAckStore.getState().byIncident)) {
        if (progress.status === 'not-sent') void acknowledge(client, id, progress.comment);
      }
    };
    const timer = setInterval(resend, RETRY_MS);
    window.addEventListener('online', resend);
    return () => {
      clearInterval(timer);
      window.removeEventListener('online', resend);
    };
  }, [client, waiting]);
}
