"""Writes rows to PostgreSQL with a pause of so many seconds between them, each in a transaction of its own, through libpq.

A line for each row that the server has acknowledged, with its number; a line for each error. A row whose
acknowledgement did not come is never written again, and counts as not written.
"""

import sys
import time

import psycopg2


def main():
    conninfo, pause = sys.argv[1], float(sys.argv[2])
    number = 0
    while True:
        try:
            connection = psycopg2.connect(conninfo)
            connection.autocommit = True
            with connection.cursor() as cursor:
                while True:
                    number += 1
                    cursor.execute("insert into rows values (%s)", (number,))
                    print(f"acknowledged {number}", flush=True)
                    time.sleep(pause)
        except psycopg2.Error as error:
            print(f"error {str(error).strip().splitlines()[0]}", flush=True)
            time.sleep(0.01)


if __name__ == "__main__":
    main()
