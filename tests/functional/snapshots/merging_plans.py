"""What ``snapshot delete --dry-run`` shows."""

from qemu_cli.instance.snapshots.delete import delete
from tests.functional.snapshots.worlds import World


def shown(world: World, numbers: set[int]) -> str:
    """All steps, as they are printed.

    :param numbers: of snapshots, in the order of their names
    """
    names = sorted(world.snapshots)
    done = world.do(
        delete(
            world.host,
            world.vm,
            [names[number] for number in sorted(numbers)],
            confirm=lambda question: None,
            dry_run=True,
        )
    )
    return "\n".join(done.plan.describe())
