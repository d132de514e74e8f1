"""A shop: takes orders and counts them."""
import socket

import psycopg2
from flask import Flask, request

app = Flask(__name__)


def database():
    with open("/run/secrets/password", encoding="ascii") as file:
        password = file.read().strip()
    found = psycopg2.connect(host="db", user="postgres", password=password, dbname="postgres", connect_timeout=3)
    found.autocommit = True
    return found


@app.route("/orders", methods=["GET", "POST"])
def orders():
    connection = database()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(1)")
            cursor.execute("CREATE TABLE IF NOT EXISTS orders (item text)")
            cursor.execute("SELECT pg_advisory_unlock(1)")
            if request.method == "POST":
                cursor.execute("INSERT INTO orders VALUES (%s)", (request.form["item"],))
            cursor.execute("SELECT count(*) FROM orders")
            return f"{cursor.fetchone()[0]} orders, by {socket.gethostname()}\n"
    finally:
        connection.close()
