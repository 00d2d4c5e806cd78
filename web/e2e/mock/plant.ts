import type { Incident, Record as LogRecord } from '@/gen/schema';
import { aDelivery, aRecord, aRule, aTimelineEntry, anAlert, anIncident, hexId } from '@/testing/factories';
import { MockAndon } from '@/testing/mock-andon';

/** A night shift's worth of incidents, in every state and priority, with texts as machines write them. */
export function aPlant(nowMs = Date.now()): MockAndon {
  const ago = (seconds: number) => new Date(nowMs - seconds * 1_000).toISOString();
  const andon = new MockAndon();
  andon.status = {
    ...andon.status,
    startedAt: ago(6 * 3_600 + 700),
    nobodyWouldBeMailed: 'No route has a recipient: start with --alert-to, or add one to the route “default”.',
    sinks: [
      { __typename: 'SinkStatus', name: 'rows', lag: 0, error: null },
      { __typename: 'SinkStatus', name: 'log_index', lag: 5_210, error: null },
      { __typename: 'SinkStatus', name: 'judging', lag: 0, error: null },
    ],
  };
  const lines = [
    ['ERROR', 'F0x0021 MTR_OVL CNV-03: motor current 14.8 A over 12.0 A for 3 s', 'EQ.elec.overload'],
    ['WARN', 'Drive CNV-03 derated to 60 %', 'EQ.drive.fault'],
    ['ERROR', 'Deadlock detected while locking order 8812-44, transaction rolled back', 'AP.deadlock'],
    ['INFO', 'Tote 00340123450000012345 diverted to chute 14', null],
    ['DEBUG', 'heartbeat ok rtt=3ms', null],
    ['FATAL', 'Not-Halt ausgelöst, Bereich Sorter 2 (Reißleine)', 'SF.estop'],
  ] as const;
  const records: LogRecord[] = Array.from({ length: 60 }, (_, index) => {
    const [level, message, type] = lines[index % lines.length]!;
    const wms = message.startsWith('Deadlock');
    return aRecord({
      recordId: hexId(10_000 + index),
      timestamp: ago((60 - index) * 7),
      receivedAt: ago((60 - index) * 7 - 0.05),
      level,
      message,
      type,
      application: wms ? 'wms' : index % 3 === 0 ? 'plc-gateway' : null,
      deviceId: wms ? null : index % 6 === 5 ? 'SRT-02' : 'CNV-03',
      orderId: wms ? '8812-44' : null,
      fields: '{"pid":4711,"host":"edge-7","stack":["at lock (orders.rs:88)","at pick (pick.rs:12)"]}',
      readings: index % 6 === 0 ? [{ __typename: 'Reading', name: 'current', value: 14.8 }] : [],
      flags: index % 13 === 0 ? ['clock_skew'] : [],
    });
  });
  andon.records.push(...records);
  const incidents: Partial<Incident>[] = [
    {
      id: hexId(1),
      priority: 'P1',
      title: 'Not-Halt ausgelöst, Bereich Sorter 2 (Reißleine)',
      errorType: 'SF.estop',
      subject: { __typename: 'Subject', kind: 'DEVICE', id: 'SRT-02' },
      area: 'Sorter hall',
      device: 'SRT-02',
      application: null,
      count: 1,
      maxLevel: 'FATAL',
      rule: aRule({
        id: 'safety',
        name: 'Safety device',
        priority: 'P1',
        sentence: 'one record of a safety type, per device',
        safety: true,
      }),
      firstAt: ago(252),
      openedAt: ago(252),
      lastAt: ago(252),
    },
    {
      id: hexId(2),
      title: 'Deadlock detected while locking order 8812-44, transaction rolled back',
      count: 1_204,
      firstAt: ago(1_900),
      openedAt: ago(1_860),
      lastAt: ago(7),
      reopened: 1,
      occurrence: { __typename: 'Occurrence', firstAt: ago(1_200), openedAt: ago(1_200), count: 788 },
      records: records.filter(({ application }) => application === 'wms').toReversed(),
      timeline: [
        aTimelineEntry({ revision: 1, at: ago(1_860) }),
        aTimelineEntry({ revision: 2, at: ago(1_500), kind: 'RETURNED_TO_NORMAL', text: '' }),
        aTimelineEntry({ revision: 3, at: ago(1_200), kind: 'REOPENED', text: 'the fault came back within 15 min' }),
        aTimelineEntry({
          revision: 4,
          at: ago(900),
          kind: 'COMMENTED',
          who: 'maria',
          text: 'Restarted worker 3, looks better.\nWatching it.',
        }),
        aTimelineEntry({ revision: 5, at: ago(600), kind: 'NEW_FAULT', text: 'Lock wait timeout on table <n>' }),
      ],
      alerts: [anAlert(), anAlert({ id: hexId(9_002), reason: 'REOPENED' })],
      deliveries: [
        aDelivery({ updatedAt: ago(1_859) }),
        aDelivery({ id: 'd2', state: 'HELD', updatedAt: ago(600), due: new Date(nowMs + 120_000).toISOString() }),
      ],
      fingerprints: [
        {
          __typename: 'FingerprintCount',
          fingerprint: '0123456789abcdef',
          count: 1_180,
          template: 'Deadlock detected while locking order <n>-<n>, transaction rolled back',
        },
        {
          __typename: 'FingerprintCount',
          fingerprint: '1123456789abcdef',
          count: 24,
          template: 'Lock wait timeout on table <n>',
        },
      ],
    },
    {
      id: hexId(3),
      priority: 'P3',
      state: 'ACTIVE_ACKNOWLEDGED',
      acknowledged: { __typename: 'Acknowledgement', at: ago(3_000), by: 'maria' },
      title: 'bearing temperature 108.2 °C above 95 °C',
      errorType: 'EQ.mech.bearing',
      subject: { __typename: 'Subject', kind: 'DEVICE', id: 'MTR-17' },
      area: 'Line 3',
      device: 'MTR-17',
      application: null,
      peak: 108.2,
      rule: aRule({
        id: 'bearing',
        name: 'Bearing too hot',
        priority: 'P3',
        subject: 'DEVICE',
        conditionKind: 'LIMIT',
        count: null,
        sentence: 'bearing above 95 °C for 30 s, per device',
        limit: {
          __typename: 'LimitCondition',
          reading: 'bearing',
          unit: '°C',
          direction: 'ABOVE',
          bound: 95,
          deadband: 2,
          onDelaySeconds: 30,
        },
      }),
      count: 88,
      firstAt: ago(3_900),
      openedAt: ago(3_870),
      lastAt: ago(20),
    },
    {
      id: hexId(4),
      priority: 'P4',
      state: 'RETURNED_UNACKNOWLEDGED',
      activity: 'RETURNED_TO_NORMAL',
      returnedAt: ago(5_000),
      title: 'label printer LBL-2: ribbon low',
      errorType: null,
      subject: { __typename: 'Subject', kind: 'DEVICE', id: 'LBL-2' },
      device: 'LBL-2',
      application: null,
      count: 12,
      maxLevel: 'WARN',
      firstAt: ago(9_000),
      openedAt: ago(8_990),
      lastAt: ago(5_100),
    },
    {
      id: hexId(5),
      state: 'SHELVED',
      shelved: {
        __typename: 'Shelving',
        until: new Date(nowMs + 5_400_000).toISOString(),
        by: 'maria',
        reason: 'photo-eye is being cleaned',
      },
      title: 'jam sensor chatters: 41 activations in 60 s',
      errorType: 'SN.dirty_eye',
      subject: { __typename: 'Subject', kind: 'DEVICE', id: 'CNV-03' },
      area: 'Line 3',
      device: 'CNV-03',
      application: null,
      count: 230,
      firstAt: ago(90_000),
      openedAt: ago(89_000),
      lastAt: ago(60),
    },
  ];
  for (const incident of incidents) andon.put(anIncident(incident));
  return andon;
}

/** New records ten times a second, for whoever looks. Returns how to stop. */
export function goOn(andon: MockAndon): () => void {
  const templates = andon.records.slice(0, 6);
  let n = 0;
  const timer = setInterval(() => {
    n += 1;
    const now = new Date().toISOString();
    const template = templates[n % templates.length] ?? aRecord();
    andon.append([{ ...template, recordId: hexId(1_000_000 + n), timestamp: now, receivedAt: now }]);
    andon.records.splice(0, andon.records.length - 1_000);
  }, 100);
  return () => {
    clearInterval(timer);
  };
}
