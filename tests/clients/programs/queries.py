"""Queries, variables, procedures, logging in, errors: what both clients do alike. Arguments: host, port, collection."""

from telling import main, step
from thingsdb import exceptions
from thingsdb.client import Client

VALUES = [None, True, False, 0, -(2**63), 2**63 - 1, 0.5, float("inf"), "", "é", b"\x00x", [], [1, [2, "x"]], {"a": {}}]

ERRORS = (
    "x",
    "1 +",
    "1 / 0",
    "9223372036854775807 + 1",
    "'a' + 1",
    "randint(2, 1)",
    "randint(1)",
    "assert(false)",
    "raise(forbidden_err('no'))",
    "raise(operation_err('no'))",
    "raise(cancelled_err('no'))",
    "raise(max_quota_err('no'))",
    "raise(bad_data_err('no'))",
    "raise(err(-100, 'hundred'))",
)


async def refused(awaitable):
    """The class and message of what it raises."""
    try:
        await awaitable
    except exceptions.ThingsDBError as error:
        return [type(error).__name__, str(error)]
    return None


async def queries(host, port, name):
    client = Client(auto_reconnect=False)
    await client.connect(host, port)
    step("not logged in", (await refused(client.query("1")))[0])
    step("wrong password", (await refused(client.authenticate("admin", "no")))[0])
    step("unknown token", (await refused(client.authenticate("A" * 22)))[0])
    await client.authenticate("admin", "pass")
    await client.new_collection(name)
    client.set_default_scope(f"//{name}")

    step("values", [await client.query("value;", value=value) == value for value in VALUES])
    step("several variables", await client.query("a + b * c;", a=1, b=2, c=3))
    step("no variables", await client.query("  1 + 1;\n"))
    step("things", await client.query(".box = {size: 3, in: {x: 1}}; .box.del('in'); .box;"))
    step("deeper", await client.query(".box.lid = {open: true}; return .box, 2;"))
    step("a set", await client.query(".box.balls = set({n: 1}); .box.balls.map(|ball| ball.n);"))
    step("errors", {code: (await refused(client.query(code)))[0] for code in ERRORS})
    step("a custom error", await refused(client.query("raise(err(-100, 'hundred'))")))
    step("kept", await refused(client.query(".x = 1; .y = 1 / 0;")) and await client.query(".x;"))

    await client.query("new_procedure('add', |a, b| a + b); new_procedure('put', |v| .v = v);")
    step("run", await client.run("add", 1, 2))
    step("run by name", await client.run("add", b=2, a=5))
    step("run a change", [await client.run("put", "new"), await client.query(".v;")])
    step("run without arguments", (await refused(client.run("add")))[0])
    step("run what is not there", (await refused(client.run("nothing")))[0])
    step("run elsewhere", (await refused(client.run("add", 1, 2, scope="@t")))[0])

    user = f"{name}_user"
    await client.new_user(user)
    await client.set_password(user, "secret")
    await client.grant(f"//{name}", user, 1)
    token = await client.new_token(user, description="for a guest")
    for way, auth in ("password", (user, "secret")), ("token", token):
        guest = Client(auto_reconnect=False)
        await guest.connect(host, port)
        await guest.authenticate(auth)
        step(
            f"by {way}",
            [
                await guest.query("user_info().load().name;", scope=f"//{name}"),
                await guest.query(".x;", scope=f"//{name}"),
            ],
        )
        step(f"by {way}, a change", (await refused(guest.query(".x = 2;", scope=f"//{name}")))[0])
        guest.close()
        await guest.wait_closed()
    await client.revoke(f"//{name}", user, 1)
    await client.del_user(user)
    step("users", [await client.has_user(user), await client.has_user("admin")])
    step("node", (await client.node_info())["node_id"])
    step("counters", "queries_success" in await client.counters())
    step("collections", [found["name"] for found in await client.collections_info() if found["name"] == name])
    step("collection", (await client.collection_info(name))["name"])
    await client.rename_collection(name, f"{name}2")
    await client.del_collection(f"{name}2")
    step("gone", [await client.has_collection(name), await client.has_collection(f"{name}2")])
    client.close()
    await client.wait_closed()


if __name__ == "__main__":
    main(queries)
