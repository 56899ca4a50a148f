"""Routes of the session, below `/c/`."""

from django.urls import path

from projects.api import sessions

urlpatterns = [
    path("login", sessions.LoginView.as_view()),
    path("log_out", sessions.LogoutView.as_view()),
    path("userExists", sessions.UserExistsView.as_view()),
]
