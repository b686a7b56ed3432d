"""What people set up is there after every restart, and just as it was: users, rights, tokens, whitelists, collections,
rooms, histories, modules, backups, quotas, and settings of scopes and of the node (spec/admin-and-protocol.md, section
11)."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.errors import LanguageError
from tests.conftest import Admin
from tests.time_and_procedures.node import Node

USERS = ("ann", "bob", "cid")
COLLECTIONS = ("stuff", "songs", "films")

IN_THINGSDB = (
    "new_user(user)", "new_user(user); grant('@t', user, USER)", "del_user(user)", "rename_user(user, other)",
    "rename_user(user, 'ivy'); rename_user('ivy', user)", "set_password('admin', 'secret')", "new_token('admin')",
    "set_password(user, nil)", "set_password(user, 'secret')",
    "new_token(user)", "new_token(user, datetime().move('days', 1), 'for a day')",
    "new_token(user, datetime().move('seconds', 1))", "del_expired()",
    "del_token(user_info(user).load().tokens[0].key)",
    "grant(`//{name}`, user, mask)", "revoke(`//{name}`, user, mask)", "grant('@t', user, mask)",
    "grant('@n', user, mask)", "revoke('@t', user, mask)", "revoke('@n', user, mask)",
    "whitelist_add(user, 'rooms')", "whitelist_add(user, 'procedures', 'p')",
    "whitelist_add(user, 'procedures', /^p/i)",
    "whitelist_del(user, 'procedures', 'p')", "whitelist_del(user, 'procedures')", "whitelist_del(user, 'rooms')",
    "new_collection(name)", "del_collection(name)", "rename_collection(name, 'x'); rename_collection('x', name)",
    "rename_collection(name, other_name)", "set_default_deep(`//{name}`, 3)", "set_default_deep('@n', 5)",
    "set_default_deep('@t', 2)", "set_time_zone(`//{name}`, 'Asia/Tokyo')", "set_time_zone('@n', 'Europe/Amsterdam')",
    "set_time_zone('@t', 'Asia/Tokyo')", "set_history(`//{name}`, true)", "set_history(`//{name}`, false)",
    "set_history('@t', true)", "set_history('@t', false)", "commit('why'); new_procedure(user, |a| a)",
    "del_history({scope: `//{name}`, first: 1})", "set_quota(name, 'things', 1000)",
    "set_quota(name, 'properties', nil)",
    "new_module(user, 'x.py', {a: {b: 1}})", "del_module(user)", "rename_module(user, other)",
    "set_module_conf(user, [1, nil])", "set_module_scope(user, `//{name}`)", "set_module_scope(user, '@t')",
    "set_module_scope(user, nil)", "new_module(user, 'github.com/o/n:token@v1')",
    "task(datetime(4000000000), |t, a| nil, [user])", "tasks()[0].del()", "new_procedure(user, |a| a)",
    "del_procedure(user)",
)  # fmt: skip

IN_NODE = (
    "set_zone(mask)", "new_backup('/tmp/never.tar.gz', datetime(4000000000), 60, 3)",
    "new_backup('/tmp/never.tar.gz', datetime(4000000000))", "del_backup(0)", "del_backup(1, true)",
)  # fmt: skip

IN_COLLECTION = (
    ".x = room(); .x.set_name(user)", ".x.set_name(nil)", ".y = .x; .x = nil", ".del('y')", ".clear()",
    ".n = {a: [1, {}]}", "commit('because'); new_type(user)", "new_procedure(user, || .n = 1)",
    "wse(commit('no')); raise('x')",
    "task(datetime(4000000000), |t| nil)", "set_enum('E', {A: 1})", "set_type('T', {r: 'room', n: 'int'}); .t = T{}",
)  # fmt: skip

SHOWN = (
    ("@t", "return users_info(), 9"), ("@t", "return collections(), 9"), ("@t", "return modules_info(), 9"),
    ("@t", "return procedures_info(), 9"), ("@t", "tasks()"), ("@t", "deep()"), ("@t", "datetime(0)"),
    ("@t", "try(history({scope: '@t', first: 100}))"), ("@n", "return backups_info(), 9"), ("@n", "datetime(0)"),
    ("@n", "deep()"), ("@n", "x = node_info().load(); [x.zone, x.next_free_id, x.commit_history]"),
)  # fmt: skip

SHOWN_OF_COLLECTIONS = (
    "return ., 5", "try(.x.id())", "try(.x.name())", "try(.t.r.id())", "return procedures_info(), 9", "tasks()",
    "return types_info(), 9", "return enums_info(), 9", "datetime(0)", "deep()",
)  # fmt: skip


class Setup(RuleBasedStateMachine):
    """Random administration, with a restart after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node()
        self.node.query(
            "new_user('ann'); new_user('bob'); new_collection('songs'); new_module('ann', 'x.py')", None, "@t"
        )
        self.node.query("new_token('ann'); grant('//songs', 'ann', USER); set_history('//songs', true)", None, "@t")
        self.node.query("whitelist_add('ann', 'procedures', 'p'); whitelist_add('bob', 'rooms')", None, "@t")
        self.node.query("new_procedure('ann', || 1); new_procedure('bob', || 2)", None, "@t")
        self.node.query(".x = room(); .y = room(); .x.set_name('ann'); .t = nil; nil")

    def attempt(self, code: str, scope: str, **values: Any) -> None:
        with contextlib.suppress(LanguageError):
            self.node.query(f"{code}; nil", values, scope)
        self.node.now += 0.7

    @rule(
        code=st.sampled_from(IN_THINGSDB),
        user=st.sampled_from(USERS),
        other=st.sampled_from(USERS),
        name=st.sampled_from(COLLECTIONS),
        other_name=st.sampled_from(COLLECTIONS),
        mask=st.integers(0, 31),
    )
    def in_thingsdb(self, code: str, **values: Any) -> None:
        self.attempt(code, "@t", **values)

    @rule(code=st.sampled_from(IN_NODE), mask=st.integers(0, 300))
    def in_node(self, code: str, mask: int) -> None:
        self.attempt(code, "@n", mask=mask)

    @rule(code=st.sampled_from(IN_COLLECTION), name=st.sampled_from(COLLECTIONS), user=st.sampled_from(USERS))
    def in_collection(self, code: str, name: str, user: str) -> None:
        if name in self.node.engine.collections:
            self.attempt(code, f"//{name}", user=user)

    @rule()
    def checkpoint(self) -> None:
        self.node.checkpoint()

    def shown(self) -> dict[tuple[str, str], Any]:
        engine = self.node.engine
        admin = Admin(engine)
        asked = [*SHOWN]
        for name in engine.collections:
            asked += [(f"//{name}", code) for code in SHOWN_OF_COLLECTIONS]
            asked.append(("@t", f"try(history({{scope: '//{name}', first: 100}}))"))
        found: dict[tuple[str, str], Any] = {}
        for scope_text, code in asked:
            outcome = engine.query(admin, scope_text, code)
            found[scope_text, code] = outcome.value if outcome.error is None else outcome.error.code
        found["engine", "passwords"] = {user.name: user.password for user in engine.users.values()}
        found["engine", "tokens"] = sorted(engine.tokens)
        found["engine", "ids"] = (engine.next_id, engine.next_definition_id, engine.last_change)
        return found

    @invariant()
    def restarts_change_nothing(self) -> None:
        before = self.shown()
        self.node.start()
        after = self.shown()
        assert {key: (before[key], after.get(key)) for key in before if before[key] != after.get(key)} == {}
        assert before.keys() == after.keys()


def test_a_collection_goes_with_what_it_lost_before() -> None:
    node = Node()
    node.query(".kept = {}; .lost = {}; nil")
    node.checkpoint()
    node.query(".del('lost'); nil")
    node.query("new_collection('songs'); del_collection('stuff')", None, "@t")
    node.checkpoint()
    node.start()
    assert list(node.engine.collections) == ["songs"]


TestSetup = Setup.TestCase
TestSetup.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
