-- Accounts may be spread over several databases. An entry of the directory is where its
-- address belongs: the first twelve bits of its hash are its bucket. An account and its
-- sessions are where the account belongs; a token says in which bucket that is.

ALTER TABLE email_directory
    DROP CONSTRAINT email_directory_pkey,
    DROP COLUMN bucket,
    ADD COLUMN bucket smallint;

UPDATE email_directory
   SET bucket = get_byte(email_hash, 0) * 16 + get_byte(email_hash, 1) / 16;

ALTER TABLE email_directory
    ALTER COLUMN bucket SET NOT NULL,
    ADD CONSTRAINT email_directory_bucket CHECK (
        bucket = get_byte(email_hash, 0) * 16 + get_byte(email_hash, 1) / 16
    ),
    ADD CONSTRAINT email_directory_pkey PRIMARY KEY (bucket, email_hash);

CREATE INDEX email_directory_pending ON email_directory (expire_time) WHERE state = 'pending';

ALTER TABLE sessions
    DROP CONSTRAINT sessions_pkey,
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (bucket, token_hash);
