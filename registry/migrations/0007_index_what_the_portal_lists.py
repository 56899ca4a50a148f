from django.db import migrations, models


class Migration(migrations.Migration):
    """Lists of artifacts come in the order of an index, and a tag is found by its name in all repositories."""

    dependencies = [("registry", "0006_register_scanners")]

    operations = [
        migrations.AddIndex(
            model_name="artifact",
            index=models.Index(fields=["repository", "accessory_type", "-push_time", "-id"], name="artifact_as_listed"),
        ),
        migrations.RemoveIndex(model_name="artifact", name="artifact_by_push_time"),
        migrations.AddIndex(
            model_name="tag",
            index=models.Index(fields=["name", "-push_time", "-id"], name="tag_by_name"),
        ),
    ]
