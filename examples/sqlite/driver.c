/* A workload for SQLite that prints what it computes: everything it prints depends on the arguments only, so two
   builds of it can be compared byte for byte.

     driver [ROWS]     ROWS orders (10,000 unless given) of ROWS/20 customers, all in memory

   It visits much of the library: parser and planner, B-trees, sorter, indexes, triggers, views, common table
   expressions, window functions, JSON, dates, mathematics, LIKE and GLOB, UTF-8 and UTF-16 text, blobs, user
   functions, collations, savepoints, savings and restores of a whole database, and error messages. */
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

static sqlite3 *db;
static uint64_t checksum = 14695981039346656037u; /* FNV-1a over all output */

static void say(const char *format, ...) {
  char line[4096];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (n > (int)sizeof line - 1) n = sizeof line - 1;
  for (int i = 0; i < n; i++) checksum = (checksum ^ (unsigned char)line[i]) * 1099511628211u;
  fwrite(line, 1, n, stdout);
}

static void fail(const char *what) {
  fflush(stdout);
  fprintf(stderr, "driver: %s: %s\n", what, sqlite3_errmsg(db));
  exit(1);
}

static void execute(const char *sql) {
  if (sqlite3_exec(db, sql, 0, 0, 0) != SQLITE_OK) fail(sql);
}

/* Runs one query; prints up to `limit` rows and a checksum of all. */
static void query(const char *title, int limit, const char *sql) {
  sqlite3_stmt *s;
  if (sqlite3_prepare_v2(db, sql, -1, &s, 0) != SQLITE_OK) fail(sql);
  say("== %s\n", title);
  uint64_t sum = 0;
  int rows = 0, rc;
  while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
    int columns = sqlite3_column_count(s);
    for (int i = 0; i < columns; i++) {
      const unsigned char *text = sqlite3_column_text(s, i);
      for (const unsigned char *p = text; p && *p; p++) sum = sum * 31 + *p;
      sum = sum * 31 + sqlite3_column_type(s, i);
      if (rows < limit) say("%s%s", i ? "|" : "", text ? (const char *)text : "NULL");
    }
    if (rows < limit) say("\n");
    rows++;
  }
  if (rc != SQLITE_DONE) fail(sql);
  sqlite3_finalize(s);
  say("-- %d rows, %016llx\n", rows, (unsigned long long)sum);
}

static uint32_t random_state = 12345;
static uint32_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

/* collatz(n): the number of steps to 1. */
static void collatz(sqlite3_context *context, int n, sqlite3_value **args) {
  (void)n;
  sqlite3_int64 v = sqlite3_value_int64(args[0]);
  int steps = 0;
  while (v > 1 && steps < 1000) {
    v = v & 1 ? 3 * v + 1 : v / 2;
    steps++;
  }
  sqlite3_result_int(context, steps);
}

/* geomean(x): an aggregate with state. */
struct Mean {
  double log_sum;
  int count;
};
static void mean_step(sqlite3_context *context, int n, sqlite3_value **args) {
  (void)n;
  struct Mean *m = sqlite3_aggregate_context(context, sizeof *m);
  m->log_sum += log(sqlite3_value_double(args[0]));
  m->count++;
}
static void mean_final(sqlite3_context *context) {
  struct Mean *m = sqlite3_aggregate_context(context, 0);
  if (!m || !m->count) {
    sqlite3_result_null(context);
  } else {
    sqlite3_result_double(context, exp(m->log_sum / m->count));
  }
}

/* A collation that compares from the last byte backwards. */
static int backwards(void *unused, int na, const void *a, int nb, const void *b) {
  (void)unused;
  const unsigned char *x = a, *y = b;
  while (na > 0 && nb > 0) {
    if (x[--na] != y[--nb]) return x[na] - y[nb];
  }
  return na - nb;
}

static void fill(int orders) {
  static const char *const cities[] = {"Aarhus", "Bogotá", "Čáslav", "Delhi", "Éfeso", "Fès", "Göteborg", "Hà Nội", "Łódź", "東京", "Ωρωπός", "Ясная"};
  static const char *const words[] = {"amber", "basalt", "copper", "dolomite", "emerald", "flint", "galena", "hematite"};
  execute("CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, since TEXT, extra TEXT);"
          "CREATE TABLE product(id INTEGER PRIMARY KEY, name TEXT UNIQUE, price REAL CHECK(price > 0));"
          "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer(id), product INTEGER,"
          " amount INTEGER, placed TEXT, note TEXT, body BLOB);"
          "CREATE TABLE audit(what TEXT, n INTEGER);"
          "CREATE TRIGGER big AFTER INSERT ON orders WHEN new.amount > 95 BEGIN"
          " INSERT INTO audit VALUES('big ' || new.product, new.amount); END;"
          "BEGIN;");
  sqlite3_stmt *s;
  if (sqlite3_prepare_v2(db, "INSERT INTO customer VALUES(?1, ?2, ?3, date('2001-01-31', ?4), ?5)", -1, &s, 0)) fail("prepare");
  int customers = orders / 20 + 1;
  for (int i = 1; i <= customers; i++) {
    char name[64], days[32], extra[160];
    uint32_t r = next_random();
    snprintf(name, sizeof name, "%s %s %u", words[r % 8], words[r / 8 % 8], r % 1000);
    snprintf(days, sizeof days, "+%u days", r % 7000);
    snprintf(extra, sizeof extra, "{\"level\":%u,\"tags\":[\"%s\",\"%s\"],\"rate\":%u.%02u,\"nested\":{\"ok\":%s}}", r % 5,
             words[r % 8], words[r / 64 % 8], r % 90, r % 100, r & 1 ? "true" : "false");
    sqlite3_bind_int(s, 1, i);
    sqlite3_bind_text(s, 2, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s, 3, cities[r / 16 % 12], -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, days, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s, 5, extra, -1, SQLITE_TRANSIENT);
    if (sqlite3_step(s) != SQLITE_DONE) fail("insert customer");
    sqlite3_reset(s);
  }
  sqlite3_finalize(s);
  execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 64)"
          " INSERT INTO product SELECT i, 'product ' || char(64 + i % 26) || i, 1.5 + (i * 7919 % 1000) / 8.0 FROM n;");
  if (sqlite3_prepare_v2(db, "INSERT INTO orders VALUES(?, ?, ?, ?, datetime(?, 'unixepoch'), ?, ?)", -1, &s, 0)) fail("prepare");
  for (int i = 1; i <= orders; i++) {
    uint32_t r = next_random(), q = next_random();
    unsigned char body[24];
    for (int k = 0; k < 24; k++) body[k] = (unsigned char)(q >> k % 25) ^ k;
    char note[64];
    snprintf(note, sizeof note, "%s%%%s_%u", words[q % 8], words[q / 8 % 8], q % 77);
    sqlite3_bind_int(s, 1, i);
    sqlite3_bind_int(s, 2, 1 + r % customers);
    sqlite3_bind_int(s, 3, 1 + q % 64);
    sqlite3_bind_int(s, 4, (int)(r / 64 % 100) - 1);
    sqlite3_bind_int64(s, 5, 978307200 + (sqlite3_int64)(q % 700000000));
    sqlite3_bind_text(s, 6, note, -1, SQLITE_TRANSIENT);
    sqlite3_bind_blob(s, 7, body, q % 25, SQLITE_TRANSIENT);
    if (sqlite3_step(s) != SQLITE_DONE) fail("insert order");
    sqlite3_reset(s);
  }
  sqlite3_finalize(s);
  execute("COMMIT; CREATE INDEX by_customer ON orders(customer, product); CREATE INDEX by_date ON orders(placed);"
          "CREATE INDEX by_note ON orders(substr(note, 1, 3)) WHERE amount > 50; ANALYZE;"
          "CREATE VIEW totals AS SELECT c.id, c.city, sum(o.amount * p.price) AS total, count(*) AS n"
          " FROM customer c JOIN orders o ON o.customer = c.id JOIN product p ON p.id = o.product GROUP BY c.id;");
}

static void ask(void) {
  query("count", 5, "SELECT count(*), sum(amount), min(placed), max(placed), avg(length(body)) FROM orders");
  query("join and group", 12,
        "SELECT c.city, count(*), round(sum(o.amount * p.price), 2), count(DISTINCT p.id) FROM orders o"
        " JOIN customer c ON c.id = o.customer JOIN product p ON p.id = o.product GROUP BY c.city ORDER BY 3 DESC");
  query("left join, having", 5,
        "SELECT p.name, count(o.id) n FROM product p LEFT JOIN orders o ON o.product = p.id AND o.amount > 90"
        " GROUP BY p.id HAVING n % 2 = 1 ORDER BY n DESC, p.name LIMIT 20");
  query("order by text", 8, "SELECT note, amount FROM orders ORDER BY note COLLATE NOCASE DESC, id LIMIT 300");
  query("own collation", 5, "SELECT DISTINCT name FROM customer ORDER BY name COLLATE backwards LIMIT 100");
  query("like and glob", 3,
        "SELECT count(*), sum(note LIKE '%ER\\%_m%' ESCAPE '\\'), sum(note GLOB '*[aeiou]?_[0-9]'), sum(note LIKE 'flint%') FROM orders");
  query("partial index", 5, "SELECT substr(note, 1, 3) s, count(*) FROM orders WHERE amount > 50 AND substr(note, 1, 3) > 'd' GROUP BY s");
  query("json", 6,
        "SELECT json_extract(extra, '$.level') l, count(*), sum(json_extract(extra, '$.nested.ok')), json_group_array(DISTINCT json_extract(extra, '$.tags[0]'))"
        " FROM customer GROUP BY l ORDER BY l");
  query("json each", 8, "SELECT value, count(*) FROM customer, json_each(customer.extra, '$.tags') GROUP BY value ORDER BY 2 DESC, 1");
  query("json edit", 3,
        "SELECT json_set(json_remove(extra, '$.rate'), '$.new', json_object('a', id, 'b', json('[1,2]'))), extra ->> '$.tags[1]', json_patch(extra, '{\"level\":null}')"
        " FROM customer WHERE id < 4");
  query("dates", 6,
        "SELECT strftime('%Y', placed) y, count(*), min(strftime('%j', placed)), max(time(placed)), sum(julianday(placed) - julianday(placed, 'start of month'))"
        " FROM orders GROUP BY y ORDER BY y DESC");
  query("date arithmetic", 3,
        "SELECT date('2024-01-31', '+1 month', 'weekday 0'), datetime(1700000000, 'unixepoch', '-90 minutes'), strftime('%s %W %u', '1999-12-31'), timediff('2024-02-29', '2000-03-01')");
  query("mathematics", 4,
        "SELECT round(sum(sqrt(amount + 1)), 6), round(sum(sin(id) * cos(product)), 6), round(avg(ln(amount + 2)), 9), round(sum(pow(amount, 1.5)), 4), sum(amount % 7), sum(amount << (id % 5)), sum(abs(amount - 50) >> 1) FROM orders");
  query("numbers as text", 3, "SELECT printf('%.3f %08d %x %e %s', 3.14159265358979, 42, 48879, 6.02214076e23, 'é'), 1e308 * 10, -9223372036854775807 - 1, 0.1 + 0.2, 1.0 / 3, CAST('12abc' AS INTEGER), 7 / 2, -7 % 3");
  query("window functions", 8,
        "SELECT id, customer, amount, sum(amount) OVER w, rank() OVER (PARTITION BY customer ORDER BY amount DESC, id), lag(amount, 2, -1) OVER w, ntile(4) OVER w, first_value(note) OVER w"
        " FROM orders WHERE customer < 40 WINDOW w AS (PARTITION BY customer ORDER BY placed, id ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) ORDER BY customer, placed, id");
  query("range frames", 4,
        "SELECT product, avg(amount) OVER (ORDER BY amount RANGE BETWEEN 5 PRECEDING AND 5 FOLLOWING EXCLUDE CURRENT ROW), percent_rank() OVER (ORDER BY amount), group_concat(product, ',') FILTER (WHERE product % 3 = 0) OVER (ORDER BY id ROWS 5 PRECEDING)"
        " FROM orders WHERE id < 500 ORDER BY id");
  query("recursive", 9,
        "WITH RECURSIVE m(x, y, i, a, b) AS (SELECT x, y, 0, 0.0, 0.0 FROM (WITH RECURSIVE c(x) AS (SELECT -2.0 UNION ALL SELECT x + 0.15 FROM c WHERE x < 0.6) SELECT x FROM c),"
        " (WITH RECURSIVE c(y) AS (SELECT -1.0 UNION ALL SELECT y + 0.25 FROM c WHERE y < 1.0) SELECT y FROM c)"
        " UNION ALL SELECT x, y, i + 1, a * a - b * b + x, 2.0 * a * b + y FROM m WHERE a * a + b * b < 4.0 AND i < 20),"
        " t(y, s) AS (SELECT y, group_concat(substr(' .+*#', 1 + min(n / 5, 4), 1), '') FROM (SELECT x, y, max(i) n FROM m GROUP BY y, x ORDER BY y, x) GROUP BY y) SELECT rtrim(s) FROM t");
  query("text", 4,
        "SELECT upper(city), length(city), length(CAST(city AS BLOB)), hex(city), unicode(city), instr(city, 'ó'), replace(city, 'ó', 'oo'), substr(city, -3, 2), trim(city, 'Aas'), quote(city || '''')"
        " FROM (SELECT DISTINCT city FROM customer ORDER BY city)");
  query("compound", 6, "SELECT city FROM customer WHERE id % 3 = 0 INTERSECT SELECT city FROM customer WHERE id % 5 = 0 EXCEPT SELECT 'Delhi' UNION SELECT 'Zürich' ORDER BY 1");
  query("subqueries", 5,
        "SELECT c.id, c.name, (SELECT max(amount) FROM orders o WHERE o.customer = c.id) m FROM customer c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.id AND o.amount = 98)"
        " AND c.id NOT IN (SELECT customer FROM orders WHERE product = 17) ORDER BY m DESC, c.id LIMIT 30");
  query("view", 5, "SELECT city, max(total), n FROM totals WHERE n > 5 GROUP BY city ORDER BY total DESC");
  query("case and cast", 4, "SELECT CASE WHEN amount < 10 THEN 'few' WHEN amount BETWEEN 10 AND 60 THEN 'some' ELSE 'many' END k, count(*), typeof(sum(amount)), typeof(avg(amount)) FROM orders GROUP BY k");
  query("own functions", 4, "SELECT max(collatz(id)), sum(collatz(id * 7)), round(geomean(amount + 2), 9) FROM orders");
  query("blobs", 3, "SELECT hex(body), length(body), zeroblob(3) = x'000000' FROM orders WHERE length(body) > 20 ORDER BY body DESC LIMIT 50");
  query("triggers", 4, "SELECT what, count(*), sum(n) FROM audit GROUP BY what ORDER BY 2 DESC, 1 LIMIT 10");
}

static void change(void) {
  execute("BEGIN; UPDATE orders SET amount = amount + 1, note = note || '!' WHERE product IN (SELECT id FROM product WHERE price > 60);"
          "SAVEPOINT a; DELETE FROM orders WHERE customer % 7 = 3; ");
  query("within a savepoint", 2, "SELECT count(*), sum(amount) FROM orders");
  execute("ROLLBACK TO a; RELEASE a; DELETE FROM orders WHERE placed < '2003'; COMMIT;"
          "INSERT INTO product VALUES(1, 'other', 2.0) ON CONFLICT(id) DO UPDATE SET price = price + excluded.price;"
          "ALTER TABLE customer ADD COLUMN score INTEGER DEFAULT 7; UPDATE customer SET score = id % 11 WHERE id % 2; ");
  query("after changes", 3, "SELECT count(*), sum(amount), sum(length(note)), (SELECT price FROM product WHERE id = 1), (SELECT sum(score) FROM customer) FROM orders");
  query("returning", 4, "DELETE FROM audit WHERE rowid % 10 = 0 RETURNING what, n");
  static const char *const wrong[] = {"SELEC 1", "SELECT nothing FROM orders", "INSERT INTO product VALUES(1, 'x', 1)", "INSERT INTO product VALUES(900, 'x', -1)",
                                      "INSERT INTO customer(name) VALUES(NULL)", "SELECT json('{')", "SELECT abs(-9223372036854775808)"};
  for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    int rc = sqlite3_exec(db, wrong[i], 0, 0, 0);
    say("error %d: %s\n", rc, sqlite3_errmsg(db));
  }
}

/* The whole database as bytes, opened again from them. */
static void reopen(void) {
  sqlite3_int64 size;
  unsigned char *image = sqlite3_serialize(db, "main", &size, 0);
  if (!image) fail("serialize");
  sqlite3 *copy;
  if (sqlite3_open(":memory:", &copy)) fail("open");
  if (sqlite3_deserialize(copy, "main", image, size, size, SQLITE_DESERIALIZE_FREEONCLOSE)) fail("deserialize");
  sqlite3 *first = db;
  db = copy;
  query("of a copy", 3, "SELECT count(*), sum(amount), group_concat(DISTINCT product % 9) FROM orders");
  execute("VACUUM");
  query("integrity", 3, "PRAGMA integrity_check");
  query("plan", 5, "EXPLAIN QUERY PLAN SELECT * FROM orders o JOIN customer c ON c.id = o.customer WHERE o.placed > '2010' ORDER BY c.name");
  sqlite3_close(copy);
  db = first;
}

int main(int argc, char **argv) {
  int orders = argc > 1 ? atoi(argv[1]) : 10000;
  if (sqlite3_open(":memory:", &db) != SQLITE_OK) fail("open");
  sqlite3_create_function(db, "collatz", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, 0, collatz, 0, 0);
  sqlite3_create_function(db, "geomean", 1, SQLITE_UTF8, 0, 0, mean_step, mean_final);
  sqlite3_create_collation(db, "backwards", SQLITE_UTF8, 0, backwards);
  fill(orders);
  ask();
  change();
  reopen();
  sqlite3_close(db);
  say("checksum %016llx\n", (unsigned long long)checksum);
  return 0;
}
