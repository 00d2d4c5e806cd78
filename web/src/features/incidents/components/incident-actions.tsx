import { useMutation } from '@apollo/client/react';
import { useId, useState, type ReactNode } from 'react';
import { useAcknowledge } from '@/features/incidents/api/acknowledge';
import { isUnacknowledged } from '@/features/incidents/api/order';
import {
  CloseDocument,
  CommentDocument,
  ShelveDocument,
  UnshelveDocument,
  type IncidentSummaryFragment,
} from '@/gen/graphql';
import { nowMs } from '@/lib/clock';
import { faultOf } from '@/lib/errors';
import { Button } from '@/ui/button';
import { FaultNotice } from '@/ui/notice';
import { Panel } from '@/ui/panel';

/** Causes by which incidents are closed; the first is no answer. */
const causes = [
  'Repaired',
  'Cleaned',
  'Adjusted',
  'Part replaced',
  'Operating error',
  'Planned work',
  'No fault found',
  'Nuisance alarm',
];

/** The server shelves for 8 hours at most. */
const shelvings = [
  { label: '15 min', minutes: 15 },
  { label: '1 h', minutes: 60 },
  { label: '4 h', minutes: 240 },
  { label: '8 h', minutes: 479 },
];

const field = 'w-full min-w-0 border border-edge bg-raised px-3 text-base sm:text-sm';

interface IncidentActionsProps {
  incident: IncidentSummaryFragment;
  byLink: boolean;
}

export function IncidentActions({ incident, byLink }: IncidentActionsProps) {
  const closed = incident.state === 'CLOSED';
  return (
    <Panel title="Act">
      <div className="grid gap-3 p-4">
        {byLink ? (
          <AcknowledgeWithComment incident={incident} />
        ) : (
          <>
            <CommentForm id={incident.id} />
            {!closed && (incident.shelved ? <Unshelve id={incident.id} /> : <ShelveForm id={incident.id} />)}
            {!closed && <CloseForm id={incident.id} />}
          </>
        )}
      </div>
    </Panel>
  );
}

/** What the link of an e-mail allows: this incident, acknowledged, with a word to it. */
function AcknowledgeWithComment({ incident }: { incident: IncidentSummaryFragment }) {
  const { progress, acknowledge } = useAcknowledge(incident.id);
  const [text, setText] = useState('');
  if (!isUnacknowledged(incident.state)) {
    return (
      <p className="text-sm text-secondary">
        Nothing more can be done with this link. Sign in to the dashboard for the rest.
      </p>
    );
  }
  const busy = progress?.status === 'sending' || progress?.status === 'taken';
  return (
    <form
      className="grid gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        void acknowledge(text.trim() === '' ? undefined : text.trim());
      }}
    >
      <Labelled label="Comment">
        {(id) => (
          <textarea
            id={id}
            rows={2}
            maxLength={2_000}
            className={`${field} py-2`}
            value={text}
            onChange={(event) => {
              setText(event.target.value);
            }}
          />
        )}
      </Labelled>
      <Button type="submit" disabled={busy || text.trim() === ''}>
        Acknowledge with this comment
      </Button>
    </form>
  );
}

function CommentForm({ id }: { id: string }) {
  const [text, setText] = useState('');
  const [comment, { loading, error }] = useMutation(CommentDocument);
  return (
    <form
      className="grid gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        comment({ variables: { id, text: text.trim() } }).then(
          () => {
            setText('');
          },
          () => undefined, // `error` has it, and the text stays for another try.
        );
      }}
    >
      <Labelled label="Comment">
        {(fieldId) => (
          <textarea
            id={fieldId}
            rows={2}
            maxLength={2_000}
            className={`${field} py-2`}
            value={text}
            onChange={(event) => {
              setText(event.target.value);
            }}
          />
        )}
      </Labelled>
      <Button type="submit" disabled={loading || text.trim() === ''}>
        Add comment
      </Button>
      {error && <FaultNotice fault={faultOf(error)} />}
    </form>
  );
}

function ShelveForm({ id }: { id: string }) {
  const [minutes, setMinutes] = useState(60);
  const [reason, setReason] = useState('');
  const [shelve, { loading, error }] = useMutation(ShelveDocument);
  return (
    <Fold title="Shelve: tell nobody for a while">
      <form
        className="grid gap-2"
        onSubmit={(event) => {
          event.preventDefault();
          const until = new Date(nowMs() + minutes * 60_000).toISOString();
          shelve({ variables: { id, until, reason: reason.trim() } }).catch(() => undefined);
        }}
      >
        <fieldset>
          <legend className="text-sm text-secondary">For</legend>
          <div className="grid grid-cols-4 gap-2">
            {shelvings.map(({ label, minutes: value }) => (
              <Button
                key={value}
                kind={value === minutes ? 'primary' : 'secondary'}
                aria-pressed={value === minutes}
                className="px-1"
                onClick={() => {
                  setMinutes(value);
                }}
              >
                {label}
              </Button>
            ))}
          </div>
        </fieldset>
        <Labelled label="Reason">
          {(fieldId) => (
            <input
              id={fieldId}
              className={`${field} min-h-target`}
              maxLength={500}
              value={reason}
              onChange={(event) => {
                setReason(event.target.value);
              }}
            />
          )}
        </Labelled>
        <Button type="submit" disabled={loading || reason.trim() === ''}>
          Shelve
        </Button>
        {error && <FaultNotice fault={faultOf(error)} />}
      </form>
    </Fold>
  );
}

function Unshelve({ id }: { id: string }) {
  const [unshelve, { loading, error }] = useMutation(UnshelveDocument);
  return (
    <>
      <Button
        disabled={loading}
        onClick={() => {
          unshelve({ variables: { id } }).catch(() => undefined);
        }}
      >
        Unshelve
      </Button>
      {error && <FaultNotice fault={faultOf(error)} />}
    </>
  );
}

function CloseForm({ id }: { id: string }) {
  const [cause, setCause] = useState('');
  const [note, setNote] = useState('');
  const [close, { loading, error }] = useMutation(CloseDocument);
  return (
    <Fold title="Close with a cause">
      <form
        className="grid gap-2"
        onSubmit={(event) => {
          event.preventDefault();
          const whole = note.trim() === '' ? cause : `${cause}: ${note.trim()}`;
          close({ variables: { id, cause: whole } }).catch(() => undefined);
        }}
      >
        <Labelled label="Cause">
          {(fieldId) => (
            <select
              id={fieldId}
              className={`${field} min-h-target`}
              value={cause}
              onChange={(event) => {
                setCause(event.target.value);
              }}
            >
              <option value="">Choose …</option>
              {causes.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          )}
        </Labelled>
        <Labelled label="What was done (optional)">
          {(fieldId) => (
            <input
              id={fieldId}
              className={`${field} min-h-target`}
              maxLength={400}
              value={note}
              onChange={(event) => {
                setNote(event.target.value);
              }}
            />
          )}
        </Labelled>
        <Button type="submit" disabled={loading || cause === ''}>
          Close the incident
        </Button>
        {error && <FaultNotice fault={faultOf(error)} />}
      </form>
    </Fold>
  );
}

/** Rare actions are one tap away, so that a wrong one is two taps away. */
function Fold({ title, children }: { title: string; children: ReactNode }) {
  return (
    <details className="border border-line">
      <summary className="flex min-h-target items-center px-3 text-sm font-semibold hover:bg-raised">{title}</summary>
      <div className="p-3 pt-1">{children}</div>
    </details>
  );
}

function Labelled({ label, children }: { label: string; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <div>
      <label htmlFor={id} className="text-sm text-secondary">
        {label}
      </label>
      {children(id)}
    </div>
  );
}
