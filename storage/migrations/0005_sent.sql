-- What was sent of late: how a notifier learns what others have told.

CREATE INDEX IF NOT EXISTS deliveries_sent ON deliveries (updated_at) WHERE state = 'sent';
