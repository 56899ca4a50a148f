"""Pull commands of any client."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("projects", "0010_looks_of_lists")]

    operations = [
        migrations.AlterField(
            model_name="user",
            name="pull_client",
            field=models.CharField(default="docker", max_length=32, verbose_name="pull command"),
        ),
    ]
