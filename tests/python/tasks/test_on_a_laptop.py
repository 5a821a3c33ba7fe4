"""Unit tests of a task author: secrets are mocked, and there is no cluster."""
import os
import tempfile
import unittest
from typing import Tuple
from unittest.mock import patch

from flytekit import current_context, task
from flytekit.testing import SecretsManager, patch as patch_task, task_mock

from secrets_workflow import file_and_value, one_secret, sign_in, two_keys_of_a_group


def variables(secrets):
    """The variables for secrets by group and key."""
    return {SecretsManager().get_secrets_env_var(group, key): value for (group, key), value in secrets.items()}


@task
def in_three_ways() -> Tuple[str, str, str]:
    secrets = current_context().secrets
    return secrets.get("user", "key"), secrets.user.key, secrets.get("user", "key", group_version="v2")


class Laptop(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FLYTE_SECRETS_")}
        environment = patch.dict(os.environ, {**clean, "FLYTE_SECRETS_DEFAULT_DIR": folder.name}, clear=True)
        environment.start()
        self.addCleanup(environment.stop)

    def write(self, group, key, content):
        path = SecretsManager().get_secrets_file(group, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(content)
        return path

    def test_a_value_is_mocked_by_its_variable(self):
        os.environ[SecretsManager().get_secrets_env_var("user-info", "user_name")] = "mocked"
        self.assertEqual(one_secret(), "mocked")

    def test_two_values_are_mocked_for_a_while(self):
        with patch.dict(os.environ, variables({("user-info", "user_name"): "n", ("user-info", "user_password"): "p"})):
            self.assertEqual(two_keys_of_a_group(), ("n", "p"))
        with self.assertRaisesRegex(ValueError, "Unable to find secret for key user_name in group user-info"):
            two_keys_of_a_group()

    def test_a_file_is_mocked_where_flytekit_looks_for_it(self):
        path = self.write("certificates", "Root.PEM", "mocked\n")
        self.assertTrue(path.endswith("/certificates/root.pem"), path)
        self.assertEqual(file_and_value(), (path, "mocked\n", "mocked"))

    def test_a_workflow_runs_with_mocked_secrets(self):
        self.write("certificates", "Root.PEM", "c\n")
        with patch.dict(os.environ, variables({("user-info", "user_name"): "n", ("user-info", "user_password"): "p"})):
            self.assertEqual(tuple(sign_in()), ("n", "n", "p", "c\n", "c"))

    def test_in_a_local_task_the_name_without_a_prefix_is_enough_and_attributes_work(self):
        with patch.dict(os.environ, {"USER_KEY": " mocked ", "USER_V2_KEY": "of a version"}):
            self.assertEqual(in_three_ways(), ("mocked", "mocked", "of a version"))

    def test_a_task_that_needs_a_secret_is_mocked_as_a_whole(self):
        with task_mock(one_secret) as mock:
            mock.return_value = "mocked"
            self.assertEqual(one_secret(), "mocked")

        @patch_task(one_secret)
        def with_the_decorator(mock):
            mock.return_value = "patched"
            self.assertEqual(one_secret(), "patched")

        with_the_decorator()
