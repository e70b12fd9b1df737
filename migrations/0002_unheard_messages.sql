-- Messages that were sent and of which nothing has been heard are asked after every second.
CREATE INDEX message_unheard ON message (due_at) WHERE state = 'sent';
