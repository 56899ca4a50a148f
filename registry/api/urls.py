"""Routes of repositories and what is in them, below `/api/v2.0/`."""

from django.urls import path

from registry.api import artifacts, immutability, repositories, search, tags

PROJECT = "projects/<str:project_name_or_id>"
REPOSITORY = f"{PROJECT}/repositories/<repository:repository_name>"
ARTIFACT = f"{REPOSITORY}/artifacts/<str:reference>"

urlpatterns = [
    path("search", search.SearchView.as_view()),
    path("statistics", search.StatisticsView.as_view()),
    path("icons/<str:digest>", artifacts.IconView.as_view()),
    path("repositories", repositories.AllRepositoriesView.as_view()),
    path(f"{PROJECT}/artifacts", artifacts.ProjectArtifactsView.as_view()),
    path(f"{PROJECT}/immutabletagrules", immutability.RulesView.as_view()),
    path(f"{PROJECT}/immutabletagrules/<number:immutable_rule_id>", immutability.RuleView.as_view()),
    path(f"{PROJECT}/repositories", repositories.RepositoriesView.as_view()),
    path(f"{REPOSITORY}/artifacts", artifacts.ArtifactsView.as_view()),
    path(f"{ARTIFACT}/tags", tags.TagsView.as_view()),
    path(f"{ARTIFACT}/tags/<str:tag_name>", tags.TagView.as_view()),
    path(f"{ARTIFACT}/accessories", artifacts.AccessoriesView.as_view()),
    path(f"{ARTIFACT}/labels", artifacts.ArtifactLabelsView.as_view()),
    path(f"{ARTIFACT}/labels/<number:label_id>", artifacts.ArtifactLabelView.as_view()),
    path(f"{ARTIFACT}/additions/<str:addition>", artifacts.AdditionView.as_view()),
    path(ARTIFACT, artifacts.ArtifactView.as_view()),
    path(REPOSITORY, repositories.RepositoryView.as_view()),
]
