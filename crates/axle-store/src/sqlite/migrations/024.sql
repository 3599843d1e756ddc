-- Schema 24: what is on the list of any network, each room once.

CREATE INDEX network_room_by_room ON network_room (room_id);
