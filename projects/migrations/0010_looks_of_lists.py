from django.db import migrations, models


def tell_hidden_columns_from_the_rest(apps, schema_editor):
    """What was the names of the hidden columns alone has a name of its own; done twice, it changes nothing."""
    users = apps.get_model("projects", "User").objects.exclude(lists={})
    for user in users:
        user.lists = {page: {"hidden": kept} if isinstance(kept, list) else kept for page, kept in user.lists.items()}
        user.save(update_fields=["lists"])


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0009_hidden_columns'),
    ]

    operations = [
        migrations.RenameField(
            model_name='user',
            old_name='hidden_columns',
            new_name='lists',
        ),
        migrations.AlterField(
            model_name='user',
            name='lists',
            field=models.JSONField(blank=True, default=dict, verbose_name='looks of lists'),
        ),
        migrations.RunPython(tell_hidden_columns_from_the_rest, migrations.RunPython.noop),
    ]
