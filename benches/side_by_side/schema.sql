-- What iCEFARM's control server calls in its database. The package on PyPI comes without its SQL, so this was written from the calls
-- and from what each is said to do; only what a load of /available, /reserve and /end meets. It spares the database where it can:
-- notices once a statement, rows passed over when another has them.
CREATE TYPE devicestatus AS ENUM ('available', 'reserved', 'await_flash_default', 'flashing_default', 'testing', 'broken');
CREATE TABLE worker (id varchar(255) PRIMARY KEY, wurl varchar(255) NOT NULL, heartbeat timestamptz NOT NULL DEFAULT now(),
    farm_version varchar(255), reservables varchar(255)[], shutting_down boolean NOT NULL DEFAULT false);
CREATE TABLE device (id varchar(255) PRIMARY KEY, worker_id varchar(255) NOT NULL REFERENCES worker ON DELETE CASCADE,
    device_status devicestatus NOT NULL);
CREATE TABLE reservations (device_id varchar(255) PRIMARY KEY REFERENCES device ON DELETE CASCADE, client_id varchar(255) NOT NULL,
    until timestamptz NOT NULL);
CREATE VIEW device_reservations AS SELECT device.*, client_id FROM device LEFT JOIN reservations ON device_id = id;

CREATE FUNCTION get_amount_available() RETURNS int LANGUAGE sql AS
$$ SELECT count(*)::int FROM device WHERE device_status = 'available' $$;

CREATE FUNCTION make_reservations(amount int, client varchar, kind varchar) RETURNS TABLE (device_id varchar, wurl varchar) LANGUAGE plpgsql AS $$
DECLARE chosen varchar[];
BEGIN
    chosen := ARRAY(SELECT d.id FROM device d JOIN worker w ON w.id = d.worker_id
        WHERE d.device_status = 'available' AND NOT w.shutting_down AND kind = ANY (w.reservables)
        LIMIT amount FOR UPDATE OF d SKIP LOCKED);
    IF cardinality(chosen) < amount THEN RAISE EXCEPTION 'too few devices'; END IF;
    UPDATE device d SET device_status = 'reserved' WHERE d.id = ANY (chosen);
    INSERT INTO reservations SELECT unnest(chosen), client, now() + interval '1 hour';
    RETURN QUERY SELECT d.id, w.wurl FROM device d JOIN worker w ON w.id = d.worker_id WHERE d.id = ANY (chosen);
END $$;

CREATE FUNCTION end_reservations(client varchar, serials varchar[]) RETURNS TABLE (device_id varchar, wurl varchar) LANGUAGE plpgsql AS $$
DECLARE ended varchar[];
BEGIN
    WITH gone AS (DELETE FROM reservations r WHERE r.client_id = client AND r.device_id = ANY (serials) RETURNING r.device_id)
    SELECT array_agg(gone.device_id) INTO ended FROM gone;
    UPDATE device d SET device_status = 'await_flash_default' WHERE d.id = ANY (ended);
    RETURN QUERY SELECT d.id, w.wurl FROM device d JOIN worker w ON w.id = d.worker_id WHERE d.id = ANY (ended);
END $$;

CREATE FUNCTION tell_of_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('reservation_updates', json_build_object('device_id', OLD.device_id, 'client_id', OLD.client_id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER ended AFTER DELETE ON reservations FOR EACH ROW EXECUTE FUNCTION tell_of_end();

-- The worker's part, for all devices that were put back at once.
CREATE FUNCTION put_back(serials varchar[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE device d SET device_status = 'available' WHERE d.id = ANY (serials);
    PERFORM pg_notify('device_available', format('(%s)', get_amount_available()));
END $$;

-- The rounds that the control server makes by itself.
CREATE PROCEDURE heartbeat_worker(name varchar) LANGUAGE sql AS $$ UPDATE worker SET heartbeat = now() WHERE id = name $$;
CREATE FUNCTION handle_worker_timeouts(after_s int) RETURNS TABLE (serial_id varchar, client_id varchar, worker_id varchar) LANGUAGE sql AS
$$ SELECT d.id, d.client_id, d.worker_id FROM device_reservations d JOIN worker w ON w.id = d.worker_id
   WHERE w.heartbeat < now() - after_s * interval '1 second' $$;
CREATE FUNCTION handle_reservation_timeouts() RETURNS TABLE (device_id varchar, client_id varchar, wurl varchar) LANGUAGE sql AS
$$ SELECT r.device_id, r.client_id, w.wurl FROM reservations r JOIN device d ON d.id = r.device_id JOIN worker w ON w.id = d.worker_id
   WHERE r.until < now() $$;
CREATE FUNCTION get_reservations_ending_soon(before_s int) RETURNS TABLE (device_id varchar) LANGUAGE sql AS
$$ SELECT r.device_id FROM reservations r WHERE r.until < now() + before_s * interval '1 second' $$;
