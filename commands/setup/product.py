"""Products of a CI system: /build product list|show|delete [name]."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.blocks.text import code, escape, plural
from bot.blocks.workflow import product_message
from bot.core.errors import UsageError
from bot.core.text import same_name
from bot.core.workflows import Product
from bot.providers.base.provider import AnyProvider
from commands.core import actions
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import opening
from commands.core.grammar import read
from commands.core.permissions import Requirement, role_of
from commands.core.registry import Command
from commands.look.sources import Sources, sources_message
from commands.setup.workflow import asks_for_name, provider_for

USAGE = "product list|show|delete [name] [--connection NAME]"


class Act(StrEnum):
    """What to do with a product."""

    LIST = "list"
    SHOW = "show"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to do with which product, at which connection. `confirm` is the name that a person typed to delete it."""

    act: Act
    name: str = ""
    connection: str = ""
    confirm: str = ""
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The product, None for a list, at its connection."""

    provider: AnyProvider
    product: Product | None


def parse(words: str) -> Args:
    """Read the words after `product`. Raises UsageError."""
    parsed = read(words, values=("connection", "confirm", "name"), switches=("public", "yes"))
    word = parsed.words[0].lower() if parsed.words else Act.LIST.value
    act = next((act for act in Act if act == word), None)
    if act is None:
        raise UsageError(f"A product has no `{word}`.", usage=USAGE)
    name = parsed.flag("name") or " ".join(parsed.words[1:])
    connection, colon, rest = name.partition(":")
    if colon and rest and " " not in connection and not parsed.flag("connection"):
        name = rest
    else:
        connection = ""
    if act is Act.DELETE and not name:
        raise UsageError("Which product?", usage=USAGE)
    return Args(
        act=act,
        name=name,
        connection=parsed.flag("connection") or connection,
        confirm=parsed.flag("confirm") or "",
        public=parsed.public,
    )


def opens(args: Args, context: Context) -> Opening | None:
    """Return the form that asks for a product's name before it is deleted."""
    if args.act is not Act.DELETE or args.confirm:
        return None
    return opening("delete_product", context, target=args.name, connection=args.connection)


async def resolve(args: Args, context: Context) -> Resolution:
    """Return the product. Raises UsageError where none or several fit."""
    provider = await provider_for(args.connection, context, again=f"product {args.act.value} {args.name}".strip())
    if args.act is Act.LIST:
        return Resolution(provider=provider, product=None)
    return Resolution(provider=provider, product=await provider.pipeline_admin().product(args.name))


def authorize(args: Args, _resolution: Resolution, _context: Context) -> Sequence[Requirement]:
    """Require an admin of all pipelines to delete; anybody may look."""
    return (Requirement(role=Role.ADMIN, doing="Deleting products"),) if args.act is Act.DELETE else ()


async def run(args: Args, resolution: Resolution, context: Context) -> Answer:
    """Show products, or delete the one whose name was typed."""
    product = resolution.product
    if product is None:
        message = await sources_message(Sources.PRODUCTS, "", resolution.provider)
        return Answer(message=message, public=args.public)
    if args.act is Act.SHOW:
        can_change = not args.public and await role_of(context) >= Role.ADMIN
        return Answer(
            message=product_message(product, connection=resolution.provider.connection, can_change=can_change),
            public=args.public,
        )
    if not args.confirm:
        target = f"{product.id} --connection {shlex.quote(resolution.provider.connection)}"
        return asks_for_name(product.name, "product delete", target, shlex.quote(product.name), context)
    if not same_name(args.confirm, product.name):
        raise UsageError(f"Its name is `{product.name}`, not `{args.confirm}`. Nothing was deleted.")
    provider = resolution.provider
    await provider.pipeline_admin().delete_product(product.id)
    for row in await context.store.pipelines.all(connections=[provider.connection]):
        if row.path.startswith(f"{product.name}/"):
            await context.store.pipelines.delete(row.connection, row.pipeline)
    count = plural(len(product.workflows or ()), "workflow")
    line = f"{actions.actor(context)} deleted the product {escape(product.name)} and its {count}"
    return actions.public_line(f"{line} ({code(provider.connection)})")


COMMAND = Command(
    verb="product",
    usage=USAGE,
    summary="Show the products of Xcode Cloud: app, bundle id, repositories; an admin deletes them",
    role=Role.VIEW,
    form_role=Role.ADMIN,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    opens=opens,
    spoken=lambda args: f"{args.act.value} {args.name}",
    acts=lambda args: args.act is Act.DELETE,
    aliases=("products",),
    flags=(
        ("--connection NAME", "at which connection, where several have products"),
        ("--confirm NAME", "the product's name, typed to delete it with its workflows and builds"),
        ("--public", "show it to the channel"),
    ),
    examples=("product list", "product show Aurora", "product delete Aurora --confirm Aurora"),
    is_dangerous=True,
)
