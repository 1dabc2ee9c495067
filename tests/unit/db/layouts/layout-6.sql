-- A store as layout 6 had it, dumped: finished jobs, one of them retried and one with `keep` and `key`, jobs that wait for a
-- retry and a time, a template, a channel, an event, a semaphore and a pool.
BEGIN TRANSACTION;
CREATE TABLE account(uid INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO "account" VALUES(1000,'user1000');
CREATE TABLE attempt(job INTEGER NOT NULL, attempt INTEGER NOT NULL, outcome INTEGER NOT NULL, ended_at INTEGER NOT NULL,
         again_at INTEGER NOT NULL, ending BLOB NOT NULL) STRICT;
INSERT INTO "attempt" VALUES(3,1,1,1795642582168452,1795642582168554,X'01001C02A20E0080A09102020002310A000000');
INSERT INTO "attempt" VALUES(4,1,1,1795642582184438,2095642582184537,X'01001C029E0D0080A0910203000377310A000000');
CREATE TABLE channel(id INTEGER PRIMARY KEY, name TEXT NOT NULL, capacity INTEGER NOT NULL,
         closed INTEGER NOT NULL) STRICT;
INSERT INTO "channel" VALUES(1,'ch',10,0);
CREATE TABLE channel_item(channel INTEGER NOT NULL, position INTEGER NOT NULL, item TEXT NOT NULL,
         PRIMARY KEY(channel, position)) STRICT, WITHOUT ROWID;
INSERT INTO "channel_item" VALUES(1,1,'{"i":1}');
CREATE TABLE event(name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO "event" VALUES('ev');
CREATE TABLE finished(seq INTEGER PRIMARY KEY, id INTEGER NOT NULL, attempt INTEGER NOT NULL, outcome INTEGER NOT NULL,
         finished_at INTEGER NOT NULL, kept_bytes INTEGER NOT NULL, label INTEGER, uid INTEGER, place INTEGER, spec INTEGER,
         item TEXT, body TEXT, record TEXT NOT NULL, ending BLOB NOT NULL, keep_until INTEGER) STRICT;
INSERT INTO "finished" VALUES(1,1,1,1,1795642582149182,8,1,1000,NULL,NULL,NULL,'{"shell":"echo one; echo two >&2; exit 3","name":"done","tags":["t"],"group":"g"}','{"id":1,"seq":1,"state":"finished","outcome":"failed","attempt":1,"user":"user1000","shell":"echo one; echo two >&2; exit 3","executor":"process","name":"done","tags":["t"],"group":"g","queue":"default","priority":0,"submitted_at":1795642582.136854,"started_at":1795642582.147797,"finished_at":1795642582.149182,"duration":0.001385,"worker":"runner-1","pid":9129,"exit_code":3,"usage":{"user_seconds":0.000801,"system_seconds":0,"max_rss":4476928},"stdout":{"bytes":4,"truncated":false},"stderr":{"bytes":4,"truncated":false}}',X'01001C06C20C0080A091020400046F6E650A04000474776F0A',NULL);
INSERT INTO "finished" VALUES(2,2,1,0,1795642582156083,0,NULL,1000,NULL,NULL,NULL,'{"task":"echo","args":{"x":[1,2]},"key":"mine","keep":300000000}','{"id":2,"seq":2,"state":"finished","outcome":"succeeded","attempt":1,"user":"user1000","task":"echo","args":{"x":[1,2]},"executor":"coroutine","queue":"default","priority":0,"keep":300000000,"submitted_at":1795642582.151049,"started_at":1795642582.15608,"finished_at":1795642582.156083,"duration":0.000003,"result":{"x":[1,2]}}',X'0102000B7B2278223A5B312C325D7D',2095642582156083);
INSERT INTO "finished" VALUES(3,3,2,0,1795642582172264,2,1,1000,NULL,NULL,NULL,'{"shell":"echo $STINT_ATTEMPT; test $STINT_ATTEMPT = 2","group":"g","retry":{"max":1,"delay":0}}','{"id":3,"seq":3,"state":"finished","outcome":"succeeded","attempt":2,"user":"user1000","shell":"echo $STINT_ATTEMPT; test $STINT_ATTEMPT = 2","executor":"process","group":"g","queue":"default","priority":0,"retry":{"max":1,"delay":0},"submitted_at":1795642582.156743,"started_at":1795642582.169868,"finished_at":1795642582.172264,"duration":0.002396,"worker":"runner-1","pid":9131,"exit_code":0,"usage":{"user_seconds":0.000779,"system_seconds":0,"max_rss":4476928},"stdout":{"bytes":2,"truncated":false},"stderr":{"bytes":0,"truncated":false}}',X'01001C00960C0080A09102020002320A000000',NULL);
CREATE TABLE "job"(id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, cancelled INTEGER NOT NULL,
         submitted_at INTEGER NOT NULL, executor INTEGER NOT NULL, lane INTEGER NOT NULL, uid INTEGER, parent INTEGER,
         place INTEGER, priority INTEGER NOT NULL, daemon INTEGER NOT NULL, waits_until INTEGER, expires_at INTEGER, label TEXT,
         spec INTEGER, item TEXT, body TEXT, pool TEXT, limited INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "job" VALUES(4,1,0,1795642582179963,0,0,1000,NULL,NULL,0,0,2095642582184537,NULL,NULL,NULL,NULL,'{"shell":"echo w$STINT_ATTEMPT; exit 1","retry":{"max":5,"delay":300000000,"max_delay":300000000}}',NULL,0);
INSERT INTO "job" VALUES(5,0,0,1795642582186482,0,0,1000,NULL,NULL,7,0,2095642582186482,NULL,'later',NULL,NULL,'{"command":["true"],"group":"later","priority":7,"delay":300000000}',NULL,0);
INSERT INTO "job" VALUES(6,0,0,1795642582187556,0,0,1000,NULL,0,0,0,2095642582187556,NULL,'many',1,'"a"',NULL,NULL,0);
INSERT INTO "job" VALUES(7,0,0,1795642582187556,0,0,1000,NULL,1,0,0,2095642582187556,NULL,'many',1,'"b c"',NULL,NULL,0);
CREATE TABLE key(first INTEGER PRIMARY KEY, count INTEGER NOT NULL, uid INTEGER NOT NULL, word TEXT NOT NULL,
         payload BLOB NOT NULL, label TEXT NOT NULL) STRICT;
INSERT INTO "key" VALUES(2,1,1000,'mine',X'9527B7C38C0E0A30150A0F99BE38E17E5A07CE0AD91A99BDED83208EA176A7B2','');
CREATE TABLE label(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "label" VALUES(1,'g');
CREATE TABLE lease(id INTEGER PRIMARY KEY, is_lock INTEGER NOT NULL, name TEXT NOT NULL, permits INTEGER NOT NULL,
         job INTEGER NOT NULL, owner TEXT NOT NULL) STRICT;
CREATE TABLE lease_number(next INTEGER NOT NULL) STRICT;
INSERT INTO "lease_number" VALUES(1);
CREATE TABLE pool(name TEXT PRIMARY KEY, uid INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
INSERT INTO "pool" VALUES('p',1000,'{"name":"p","command":["cat"],"size":1}');
CREATE TABLE purged(first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
INSERT INTO "purged" VALUES(8,8);
CREATE TABLE semaphore(name TEXT PRIMARY KEY, permits INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "semaphore" VALUES('gpu',4);
CREATE TABLE spec(id INTEGER PRIMARY KEY, uses INTEGER NOT NULL, marker TEXT NOT NULL, body TEXT NOT NULL) STRICT;
INSERT INTO "spec" VALUES(1,2,'{}','{"command":["echo","{}"],"group":"many","delay":300000000}');
CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), epoch INTEGER NOT NULL, ids INTEGER NOT NULL,
         seqs INTEGER NOT NULL, jobs INTEGER NOT NULL, finished_jobs INTEGER NOT NULL, kept_bytes INTEGER NOT NULL) STRICT;
INSERT INTO "state" VALUES(1,1,9,5,4,3,10);
CREATE UNIQUE INDEX finished_id ON finished(id);
CREATE INDEX finished_label ON finished(label, seq) WHERE label IS NOT NULL;
CREATE INDEX attempt_job ON attempt(job, attempt);
CREATE INDEX finished_keep ON finished(keep_until) WHERE keep_until IS NOT NULL;
COMMIT;
PRAGMA application_id=1937010292;
PRAGMA user_version=6;
