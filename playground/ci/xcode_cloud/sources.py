"""Source control as Apple shows it: the provider, repositories, Git references and pull requests."""

import uuid
from collections.abc import Iterable

from starlette.responses import Response

from playground.ci.model import Pull, Repo, stamp
from playground.ci.system import Call
from playground.ci.xcode_cloud.documents import AppleDocuments, Resource, comma

NAMESPACE = uuid.UUID("7b5b7a52-7a3e-4f9b-8d54-1d6a7c9f2e31")
REPOSITORY_INCLUDES = ("scmProvider", "defaultBranch")


class Sources(AppleDocuments):
    """The repositories that Apple can read."""

    repos: list[Repo]

    def _provider(self) -> Resource:
        return Resource(
            type="scmProviders",
            id=str(uuid.uuid5(NAMESPACE, "provider")),
            attributes={
                "scmProviderType": {"kind": "GITHUB_CLOUD", "displayName": "GitHub", "isOnPremise": False},
                "url": f"{self.root()}/scm",
            },
            related={},
            linked=("repositories",),
        )

    def _repository(self, repo: Repo) -> Resource:
        return Resource(
            type="scmRepositories",
            id=repo.uid,
            attributes={
                "lastAccessedDate": stamp(self.simulation.now),
                "httpCloneUrl": f"{self.root()}/scm/{repo.slug}.git",
                "sshCloneUrl": f"ssh://git@demo.example/{repo.slug}.git",
                "ownerName": repo.owner,
                "repositoryName": repo.name,
            },
            related={
                "scmProvider": self._provider,
                "defaultBranch": lambda: self._reference(repo, "heads", repo.default_branch),
            },
            linked=("gitReferences", "pullRequests"),
        )

    def _find_repo(self, call: Call) -> Repo:
        for repo in self.repos:
            if repo.uid == call.at("id"):
                return repo
        raise self._missing("scmRepositories", call.at("id"))

    def _repositories(self, call: Call) -> Response:
        if "id" in call.request.path_params and call.at("id") != self._provider().id:
            raise self._missing("scmProviders", call.at("id"))
        return self._list(call, self._filtered(call, self.repos), *REPOSITORY_INCLUDES)

    def _filtered(self, call: Call, repos: Iterable[Repo]) -> list[Resource]:
        """Return repositories, only those of `filter[id]` where that is given."""
        ids = comma(call.query.get("filter[id]"))
        return [self._repository(repo) for repo in repos if not ids or repo.uid in ids]

    def _reference(self, repo: Repo, kind: str, name: str, *, deleted: bool = False) -> Resource:
        return Resource(
            type="scmGitReferences",
            id=repo.ref_uid(kind, name),
            attributes={
                "name": name,
                "canonicalName": f"refs/{kind}/{name}",
                "isDeleted": deleted,
                "kind": "TAG" if kind == "tags" else "BRANCH",
            },
            related={"repository": lambda: self._repository(repo)},
        )

    def _all_references(self, repo: Repo) -> list[Resource]:
        return [
            self._reference(repo, "heads", "experiment/old-tabs", deleted=True),
            *(self._reference(repo, "heads", name) for name in repo.branches),
            *(self._reference(repo, "tags", name) for name in repo.tags),
        ]

    def _references(self, call: Call) -> Response:
        return self._list(call, self._all_references(self._find_repo(call)), "repository")

    def _find_reference(self, _call: Call, key: str) -> Resource:
        for repo in self.repos:
            for reference in self._all_references(repo):
                if reference.id == key:
                    return reference
        raise self._missing("scmGitReferences", key)

    def _pull(self, repo: Repo, pull: Pull) -> Resource:
        return Resource(
            type="scmPullRequests",
            id=pull.uid,
            attributes={
                "title": pull.title,
                "number": pull.number,
                "webUrl": f"{self.root()}/scm/{repo.slug}/pull/{pull.number}",
                "sourceRepositoryOwner": repo.owner,
                "sourceRepositoryName": repo.name,
                "sourceBranchName": pull.branch,
                "destinationRepositoryOwner": repo.owner,
                "destinationRepositoryName": repo.name,
                "destinationBranchName": pull.target,
                "isClosed": pull.closed,
                "isCrossRepository": False,
            },
            related={"repository": lambda: self._repository(repo)},
        )

    def _pulls(self, call: Call) -> Response:
        repo = self._find_repo(call)
        return self._list(call, [self._pull(repo, pull) for pull in repo.pulls.values()], "repository")

    def _find_pull(self, _call: Call, key: str) -> Resource:
        for repo in self.repos:
            for pull in repo.pulls.values():
                if pull.uid == key:
                    return self._pull(repo, pull)
        raise self._missing("scmPullRequests", key)
