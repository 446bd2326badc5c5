"""Products, workflows, and the versions of Xcode and macOS that workflows choose from."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from starlette.responses import Response

from playground.ci.model import Commit, Pipeline, Repo, Source, Step, stamp
from playground.ci.simulation import Simulation
from playground.ci.system import JSON, Call
from playground.ci.xcode_cloud.documents import Resource, comma
from playground.ci.xcode_cloud.sources import NAMESPACE, REPOSITORY_INCLUDES, Sources

APP_ID = "6448220113"
PRODUCT_INCLUDES = ("app", "bundleId", "primaryRepositories")
WORKFLOW_INCLUDES = ("product", "repository", "xcodeVersion", "macOsVersion")
DEVICES = ("iPhone 17", "iPad Pro (M5)", "Apple TV 4K", "Apple Watch Ultra 3", "Apple Vision Pro")
RUNTIMES = {
    "iPhone 17": "iOS",
    "iPad Pro (M5)": "iOS",
    "Apple TV 4K": "tvOS",
    "Apple Watch Ultra 3": "watchOS",
    "Apple Vision Pro": "visionOS",
}
XCODES = (("Xcode 26.1 (17B55)", "17B55", "26.1", (0, 1)), ("Xcode 16.4 (16F6)", "16F6", "18.5", (1,)))
"""Name, build, the version of the systems it simulates, and the macOS versions it runs on (places in `MACS`)."""
MACS = (("macOS Tahoe 26.1", "25B78"), ("macOS Sequoia 15.6", "24G84"))

CONDITIONS = frozenset(
    {
        "branchStartCondition",
        "tagStartCondition",
        "pullRequestStartCondition",
        "scheduledStartCondition",
        "manualBranchStartCondition",
        "manualTagStartCondition",
        "manualPullRequestStartCondition",
    }
)
TEXTS = frozenset({"name", "description", "containerFilePath"})
SWITCHES = frozenset({"isEnabled", "isLockedForEditing", "clean"})
WORKFLOW_ATTRIBUTES = frozenset({*CONDITIONS, *TEXTS, *SWITCHES, "actions"})
NEEDED_ATTRIBUTES = ("name", "description", "actions", "isEnabled", "clean", "containerFilePath")
ACTION_TYPES = ("BUILD", "ANALYZE", "TEST", "ARCHIVE")
PLATFORMS = ("MACOS", "IOS", "TVOS", "WATCHOS", "VISIONOS")
DESTINATIONS = frozenset(
    {"ANY_MAC", "ANY_MAC_CATALYST"}
    | {f"ANY_{platform}_{kind}" for platform in PLATFORMS[1:] for kind in ("DEVICE", "SIMULATOR")}
)
FREQUENCIES = ("WEEKLY", "DAILY", "HOURLY")
EVERYTHING: JSON = {"isAllMatch": True, "patterns": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product; `app` is None for a framework."""

    uid: str
    name: str
    app: str | None
    bundle: str
    repos: tuple[Repo, ...]


class Account(Sources):
    """A team with an app that has workflows, and a framework that has none yet."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        pipelines = simulation.of_system(self.name)
        self._model = pipelines[0]
        kit = _framework_repo(pipelines[0].repo)
        self.repos = [pipelines[0].repo, kit]
        self.products = [
            Product(
                uid=str(uuid.uuid5(NAMESPACE, "product")),
                name=pipelines[0].group,
                app=APP_ID,
                bundle="example.demo.aurora",
                repos=(pipelines[0].repo,),
            ),
            Product(
                uid=str(uuid.uuid5(NAMESPACE, "framework")),
                name="Aurora Kit",
                app=None,
                bundle="example.demo.aurora-kit",
                repos=(kit,),
            ),
        ]
        self._steps = {step.kind: step for pipeline in pipelines for step in pipeline.steps}
        self._attributes = {pipeline.uid: _demo_attributes(pipeline) for pipeline in pipelines}
        self._versions: dict[str, tuple[int, int]] = {}
        self._changed: dict[str, float] = {}

    def _pipelines(self) -> list[Pipeline]:
        return self.simulation.of_system(self.name)

    # products

    def _product(self, product: Product) -> Resource:
        app = Resource(
            type="apps",
            id=product.app or "",
            attributes={"name": "Aurora", "bundleId": product.bundle, "sku": "aurora", "primaryLocale": "en-GB"},
            related={},
        )
        bundle = Resource(
            type="bundleIds",
            id="BNDL26" if product.app else "BNDL27",
            attributes={
                "name": product.name,
                "platform": "IOS",
                "identifier": product.bundle,
                "seedId": "DEMO26",
            },
            related={},
        )
        return Resource(
            type="ciProducts",
            id=product.uid,
            attributes={
                "name": product.name,
                "createdDate": "2025-02-03T09:00:00.000Z",
                "productType": "APP" if product.app else "FRAMEWORK",
            },
            related={
                "app": lambda: app if product.app else None,
                "bundleId": lambda: bundle,
                "primaryRepositories": lambda: [self._repository(repo) for repo in product.repos],
            },
            linked=("workflows", "primaryRepositories", "additionalRepositories", "buildRuns"),
        )

    def _the_product(self, call: Call) -> Product:
        for product in self.products:
            if product.uid == call.at("id"):
                return product
        raise self._missing("ciProducts", call.at("id"))

    def _product_of(self, pipeline: Pipeline) -> Product:
        return next(product for product in self.products if product.name == pipeline.group)

    def _pipelines_of(self, product: Product) -> list[Pipeline]:
        return [pipeline for pipeline in self._pipelines() if pipeline.group == product.name]

    def _list_products(self, call: Call) -> Response:
        kinds, apps = comma(call.query.get("filter[productType]")), comma(call.query.get("filter[app]"))
        products = [
            product
            for product in self.products
            if (not kinds or ("APP" if product.app else "FRAMEWORK") in kinds) and (not apps or product.app in apps)
        ]
        return self._list(call, [self._product(product) for product in products], *PRODUCT_INCLUDES)

    def _get_product(self, call: Call) -> Response:
        return self._resource(call, self._product(self._the_product(call)), *PRODUCT_INCLUDES)

    def _product_of_app(self, call: Call) -> Response:
        for product in self.products:
            if product.app == call.at("id"):
                return self._resource(call, self._product(product), *PRODUCT_INCLUDES)
        raise self._missing("apps", call.at("id"))

    def _delete_product(self, call: Call) -> Response:
        product = self._the_product(call)
        for pipeline in self._pipelines_of(product):
            self._remove(pipeline)
        self.products.remove(product)
        return Response(status_code=204)

    def _repositories_of_product(self, call: Call) -> Response:
        return self._list(call, self._filtered(call, self._the_product(call).repos), *REPOSITORY_INCLUDES)

    def _more_repositories(self, call: Call) -> Response:
        """Answer what a product builds with besides: the app takes the framework's repository."""
        product = self._the_product(call)
        others = self.repos[1:] if product.app else []
        return self._list(call, self._filtered(call, others), *REPOSITORY_INCLUDES)

    # workflows

    def _workflows(self, call: Call) -> Response:
        pipelines = self._pipelines_of(self._the_product(call))
        return self._list(call, [self._workflow(pipeline) for pipeline in pipelines], *WORKFLOW_INCLUDES)

    def _find_workflow(self, call: Call) -> Pipeline:
        for pipeline in self._pipelines():
            if pipeline.uid == call.at("id"):
                return pipeline
        raise self._missing("ciWorkflows", call.at("id"))

    def _get_workflow(self, call: Call) -> Response:
        return self._resource(call, self._workflow(self._find_workflow(call)), *WORKFLOW_INCLUDES)

    def _workflow_repository(self, call: Call) -> Response:
        return self._resource(call, self._repository(self._find_workflow(call).repo), *REPOSITORY_INCLUDES)

    def _workflow(self, pipeline: Pipeline) -> Resource:
        own = self._attributes[pipeline.uid]
        xcode, mac = self._versions.get(pipeline.uid, (0, 0))
        return Resource(
            type="ciWorkflows",
            id=pipeline.uid,
            attributes={
                **dict.fromkeys((*CONDITIONS, "description", "isLockedForEditing")),
                **own,
                "name": pipeline.name,
                "isEnabled": pipeline.enabled,
                "lastModifiedDate": stamp(self._changed.get(pipeline.uid, pipeline.created_at)),
            },
            related={
                "product": lambda: self._product(self._product_of(pipeline)),
                "repository": lambda: self._repository(pipeline.repo),
                "xcodeVersion": lambda: self._xcode(xcode),
                "macOsVersion": lambda: self._mac(mac),
            },
            linked=("repository", "buildRuns"),
        )

    def starts_by_hand(self, pipeline: Pipeline, condition: str) -> bool:
        """Return whether a workflow has a start condition for a start by hand or by the API."""
        return self._attributes[pipeline.uid].get(condition) is not None

    def audience_of(self, pipeline: Pipeline, action: str) -> str | None:
        """Return for whom an archive action of a workflow prepares its build; None: for nobody."""
        for attributes in self._attributes[pipeline.uid].get("actions", ()):
            if attributes.get("name") == action:
                audience = attributes.get("buildDistributionAudience")
                return str(audience) if audience else None
        return None

    def _invalid(self, name: str, detail: str) -> Exception:
        return self._refuse(
            409,
            "ENTITY_ERROR.ATTRIBUTE.INVALID",
            "An attribute value is invalid.",
            detail,
            pointer=f"/data/attributes/{name}",
        )

    def _check_workflow(self, attributes: JSON) -> None:
        """Refuse attributes of a workflow that it does not have, or whose values cannot be."""
        self._check_attributes(attributes, WORKFLOW_ATTRIBUTES)
        for name, value in attributes.items():
            if name in CONDITIONS:
                self._check_condition(name, value)
            elif value is None:
                raise self._invalid(name, f"'{name}' may not be null")
        if "actions" in attributes:
            self._check_actions(attributes["actions"])

    def _check_condition(self, name: str, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, dict):
            raise self._invalid(name, f"'{name}' must be an object")
        for part in ("source", "destination"):
            patterns = value.get(part)
            if patterns is not None and not (
                isinstance(patterns, dict) and (patterns.get("isAllMatch") or patterns.get("patterns"))
            ):
                raise self._invalid(name, f"The {part} of '{name}' matches nothing")
        schedule = value.get("schedule")
        if name == "scheduledStartCondition":
            if not isinstance(schedule, dict) or schedule.get("frequency") not in FREQUENCIES:
                raise self._invalid(name, "A schedule needs a frequency")
            if schedule["frequency"] == "WEEKLY" and not schedule.get("days"):
                raise self._invalid(name, "A weekly schedule needs its days")

    def _check_actions(self, actions: Iterable[object]) -> None:
        if not actions:
            raise self._invalid("actions", "A workflow needs at least one action")
        for action in actions:
            if not isinstance(action, dict) or action.get("actionType") not in ACTION_TYPES:
                raise self._invalid("actions", "An action has an unknown type")
            if action.get("platform", "IOS") not in PLATFORMS:
                raise self._invalid("actions", f"'{action['platform']}' is not a platform")
            destination = action.get("destination")
            if destination is not None and destination not in DESTINATIONS:
                raise self._invalid("actions", f"'{destination}' is not a destination")

    def _apply(self, pipeline: Pipeline, attributes: JSON) -> None:
        name = attributes.get("name")
        others = [other for other in self._pipelines() if other.group == pipeline.group and other is not pipeline]
        if name is not None and any(other.name == name for other in others):
            raise self._refuse(
                409,
                "ENTITY_ERROR.ATTRIBUTE.INVALID.DUPLICATE",
                "The provided entity includes an attribute with a value that has already been used",
                f"There is a workflow named '{name}' already",
                pointer="/data/attributes/name",
            )
        pipeline.name = name or pipeline.name
        pipeline.path = f"{pipeline.group}/{pipeline.name}"
        pipeline.enabled = attributes.get("isEnabled", pipeline.enabled)
        if "actions" in attributes:
            pipeline.steps = self._steps_of(attributes["actions"])
        own = self._attributes.setdefault(pipeline.uid, {})
        own.update(attributes)
        pipeline.sources = _sources_of(own) or (Source.WEB,)
        self._changed[pipeline.uid] = self.simulation.now

    def _steps_of(self, actions: Iterable[JSON]) -> tuple[Step, ...]:
        """Return the jobs that actions stand for: each as the demo's own action of its type."""
        return tuple(
            replace(
                self._steps[action["actionType"]],
                name=str(action.get("name") or self._steps[action["actionType"]].name),
                tolerated=action.get("isRequiredToPass") is False,
            )
            for action in actions
        )

    def _chosen_versions(self, ids: Mapping[str, JSON], kept: tuple[int, int]) -> tuple[int, int]:
        """Return the places of the versions that a document points at. Refuses an Xcode that its macOS does not run."""
        places = list(kept)
        for index, (name, ids_of_kind) in enumerate(
            (
                ("xcodeVersion", [self._xcode(place).id for place in range(len(XCODES))]),
                ("macOsVersion", [self._mac(place).id for place in range(len(MACS))]),
            )
        ):
            if name in ids:
                if ids[name]["id"] not in ids_of_kind:
                    raise self._relation_invalid(name)
                places[index] = ids_of_kind.index(ids[name]["id"])
        if places[1] not in XCODES[places[0]][3]:
            raise self._relation_invalid("macOsVersion", "This version of macOS does not run this version of Xcode")
        return places[0], places[1]

    def _update_workflow(self, call: Call) -> Response:
        pipeline = self._find_workflow(call)
        attributes, ids = self._parsed_document(call, "ciWorkflows")
        self._check_workflow(attributes)
        for name in ids.keys() - {"xcodeVersion", "macOsVersion"}:
            raise self._relation_invalid(name, f"'{name}' cannot be changed")
        versions = self._chosen_versions(ids, self._versions.get(pipeline.uid, (0, 0)))
        self._apply(pipeline, attributes)
        self._versions[pipeline.uid] = versions
        return self._resource(call, self._workflow(pipeline), *WORKFLOW_INCLUDES)

    def _create_workflow(self, call: Call) -> Response:
        attributes, ids = self._parsed_document(call, "ciWorkflows")
        self._check_workflow(attributes)
        for name in NEEDED_ATTRIBUTES:
            if name not in attributes:
                raise self._refuse(
                    409,
                    "ENTITY_ERROR.ATTRIBUTE.REQUIRED",
                    "The provided entity is missing a required attribute",
                    f"You must provide a value for the attribute '{name}' with this request",
                    pointer=f"/data/attributes/{name}",
                )
        for name in WORKFLOW_INCLUDES:
            if name not in ids:
                raise self._relation_required(name)
        product = next((known for known in self.products if known.uid == ids["product"]["id"]), None)
        if product is None:
            raise self._relation_invalid("product")
        repo = next((known for known in product.repos if known.uid == ids["repository"]["id"]), None)
        if repo is None:
            raise self._relation_invalid("repository")
        versions = self._chosen_versions(ids, (0, 0))
        pipeline = replace(
            self._model,
            uid=self.simulation.uid(),
            number=len(self._pipelines()) + 1,
            name="",
            group=product.name,
            counter=f"xcode_cloud/{product.name}",
            repo=repo,
            created_at=self.simulation.now,
            enabled=True,
            builds=[],
        )
        self._attributes[pipeline.uid] = {}
        self._apply(pipeline, attributes)
        self._versions[pipeline.uid] = versions
        self.simulation.pipelines.append(pipeline)
        return self._resource(call, self._workflow(pipeline), *WORKFLOW_INCLUDES, status=201)

    def _delete_workflow(self, call: Call) -> Response:
        self._remove(self._find_workflow(call))
        return Response(status_code=204)

    def _remove(self, pipeline: Pipeline) -> None:
        for build in list(pipeline.builds):
            self.simulation.remove(build)
        self.simulation.pipelines.remove(pipeline)

    # versions

    def _list_xcodes(self, call: Call) -> Response:
        return self._list(call, [self._xcode(place) for place in range(len(XCODES))], "macOsVersions")

    def _list_macs(self, call: Call) -> Response:
        return self._list(call, [self._mac(place) for place in range(len(MACS))], "xcodeVersions")

    def _xcode(self, place: int) -> Resource:
        name, version, systems, macs = XCODES[place]
        return Resource(
            type="ciXcodeVersions",
            id=f"xcode-{version}",
            attributes={"name": name, "version": version, "testDestinations": _test_destinations(systems)},
            related={"macOsVersions": lambda: [self._mac(mac) for mac in macs]},
            linked=("macOsVersions",),
        )

    def _mac(self, place: int) -> Resource:
        name, version = MACS[place]
        return Resource(
            type="ciMacOsVersions",
            id=f"macos-{version}",
            attributes={"name": name, "version": version},
            related={
                "xcodeVersions": lambda: [self._xcode(index) for index, known in enumerate(XCODES) if place in known[3]]
            },
            linked=("xcodeVersions",),
        )


def _framework_repo(model: Repo) -> Repo:
    """Return the repository of the framework, whose commits are those of the app's."""
    head: Commit = model.branches[model.default_branch]
    return Repo(
        owner=model.owner,
        name="aurora-kit",
        number=model.number + 1000,
        uid=str(uuid.uuid5(uuid.UUID(model.uid), "kit")),
        default_branch=model.default_branch,
        branches={model.default_branch: head},
        commits=dict(model.commits),
    )


def _test_destinations(systems: str) -> list[JSON]:
    return [
        {
            "deviceTypeName": device,
            "deviceTypeIdentifier": f"com.example.device.{device.replace(' ', '-')}",
            "availableRuntimes": [
                {
                    "runtimeName": f"{RUNTIMES[device]} {systems}",
                    "runtimeIdentifier": f"com.example.runtime.{RUNTIMES[device]}-{systems}",
                }
            ],
            "kind": "SIMULATOR",
        }
        for device in DEVICES
    ]


def _sources_of(attributes: JSON) -> tuple[Source, ...]:
    """Return what starts builds of a workflow by itself."""
    sources = {
        "branchStartCondition": Source.PUSH,
        "tagStartCondition": Source.PUSH,
        "pullRequestStartCondition": Source.PULL,
        "scheduledStartCondition": Source.SCHEDULE,
    }
    return tuple(dict.fromkeys(source for name, source in sources.items() if attributes.get(name) is not None))


def _demo_attributes(pipeline: Pipeline) -> JSON:
    """Return the definition of a workflow that the demo begins with."""
    attributes: JSON = {
        "description": f"{pipeline.name} of Aurora",
        "actions": [_demo_action(step) for step in pipeline.steps],
        "isLockedForEditing": False,
        "clean": False,
        "containerFilePath": "Aurora.xcodeproj",
        "manualBranchStartCondition": {"source": EVERYTHING},
        "manualTagStartCondition": {"source": EVERYTHING},
        "manualPullRequestStartCondition": {"source": EVERYTHING, "destination": EVERYTHING},
    }
    if Source.PULL in pipeline.sources:
        attributes["pullRequestStartCondition"] = {
            "source": EVERYTHING,
            "destination": {"isAllMatch": False, "patterns": [{"pattern": "main", "isPrefix": False}]},
            "autoCancel": True,
        }
    if Source.SCHEDULE in pipeline.sources:
        attributes["scheduledStartCondition"] = {
            "source": EVERYTHING,
            "schedule": {"frequency": "DAILY", "hour": 3, "minute": 0, "timezone": "Europe/Stockholm"},
        }
    if Source.PUSH in pipeline.sources:
        attributes["branchStartCondition"] = {
            "source": {
                "isAllMatch": False,
                "patterns": [{"pattern": "main", "isPrefix": False}, {"pattern": "release/", "isPrefix": True}],
            },
            "filesAndFoldersRule": {"mode": "DO_NOT_START_IF_ALL_FILES_MATCH", "matchers": [{"fileExtension": "md"}]},
            "autoCancel": True,
        }
    return attributes


def _demo_action(step: Step) -> JSON:
    action: JSON = {
        "name": step.name,
        "actionType": step.kind,
        "scheme": "Aurora",
        "platform": "IOS",
        "isRequiredToPass": not step.tolerated,
    }
    if step.kind == "TEST":
        action["testConfiguration"] = {
            "kind": "SPECIFIC_TEST_PLANS",
            "testPlanName": "Everything",
            "testDestinations": [
                {
                    "deviceTypeName": device,
                    "deviceTypeIdentifier": f"com.example.device.{device.replace(' ', '-')}",
                    "runtimeName": "iOS 26.1",
                    "runtimeIdentifier": "com.example.runtime.iOS-26.1",
                    "kind": "SIMULATOR",
                }
                for device in DEVICES[:2]
            ],
        }
    else:
        action["destination"] = "ANY_IOS_DEVICE" if step.kind == "ARCHIVE" else "ANY_IOS_SIMULATOR"
    if step.kind == "ARCHIVE":
        action["buildDistributionAudience"] = "APP_STORE_ELIGIBLE"
    return action
