"""Who may do what with a package (pure)."""

from __future__ import annotations

from registry.gateway.world import Account, Package, Role

# "Who may do what" of "Getting started with packages", Bitbucket Cloud support.
ROLE_FOR = {"pull": Role.READ, "push": Role.WRITE}


def role_on(account: Account, package: Package) -> Role:
    """Return an account's role on a package: its role on the repository the package is linked to."""
    return account.role_on(package.workspace, package.repository)


def allowed_actions(account: Account, package: Package) -> frozenset[str]:
    """Return which of `pull` and `push` the account may do with the package."""
    role = role_on(account, package)
    return frozenset(action for action, needed in ROLE_FOR.items() if role >= needed)
