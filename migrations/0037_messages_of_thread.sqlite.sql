CREATE INDEX messages_of_thread ON messages (thread_id, id) WHERE thread_id IS NOT NULL;
